"""Overlapping patches of graphs, cut anew for every epoch of training."""
