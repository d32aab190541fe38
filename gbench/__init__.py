"""gbench: train graph neural networks to the paper's protocol and compare the runs."""

__version__ = "0.1.0"
