"""Contracts are looked at on one core: what they compute is tiny."""

from __future__ import annotations

import logging

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
    logging.getLogger("lightning.fabric").setLevel(logging.ERROR)
