"""Positional encodings, computed once per dataset."""
