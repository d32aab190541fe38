"""Two rows compared item by item on the test part."""
