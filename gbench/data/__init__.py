"""Datasets: read, checked, packed and cached; a batch of them is a few index operations."""
