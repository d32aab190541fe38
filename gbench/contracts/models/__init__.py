"""Contracts of models, one a file."""
