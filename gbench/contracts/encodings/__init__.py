"""Contracts of positional encodings, one a file."""
