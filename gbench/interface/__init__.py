"""gbench from Python: `run`, `load`, `leaderboard` and `audit`, which `import gbench` offers."""
