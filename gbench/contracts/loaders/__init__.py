"""Contracts of loaders of data, one a file."""
