"""Floors: methods without a network, whose rows show what a score is worth; one file each."""
