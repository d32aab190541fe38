"""`train` of gbench/training.py, under the name that it had before `gbench.run` was a function."""

from __future__ import annotations

from gbench.training import train

__all__ = ["train"]
