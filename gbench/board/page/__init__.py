"""The leaderboard as one HTML page that needs no network, and the server that shows it live."""
