"""What a run leaves behind in its process is set back, whatever it is."""

from __future__ import annotations

import logging
import os
import random
import signal
import sys
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch

from gbench.sweep.surroundings import Surroundings

logging.getLogger("lightning")  # one that a run finds


def no_handler(number: int, frame: object) -> None: ...


LEFT_BEHIND: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
    "random": (lambda: random.seed(5), random.getstate),
    "numpy": (lambda: np.random.seed(5), lambda: str(np.random.get_state())),  # noqa: NPY002
    "torch": (lambda: torch.manual_seed(5), lambda: torch.get_rng_state().tolist()),
    "dtype": (lambda: torch.set_default_dtype(torch.float64), torch.get_default_dtype),
    "threads": (lambda: torch.set_num_threads(3), torch.get_num_threads),
    "deterministic": (
        lambda: torch.use_deterministic_algorithms(True, warn_only=True),
        lambda: (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        ),
    ),
    "matmul": (
        lambda: torch.set_float32_matmul_precision("medium"),
        torch.get_float32_matmul_precision,
    ),
    "cudnn": (
        lambda: setattr(torch.backends.cudnn, "benchmark", True),
        lambda: torch.backends.cudnn.benchmark,
    ),
    "gradients": (lambda: torch.set_grad_enabled(False), torch.is_grad_enabled),
    "anomalies": (lambda: torch.autograd.set_detect_anomaly(True), torch.is_anomaly_enabled),
    "environment": (
        lambda: (os.environ.pop("PATH"), os.environ.update(PL_GLOBAL_SEED="5", HOME="/")),
        lambda: dict(os.environ),
    ),
    "folder": (lambda: os.chdir("/"), os.getcwd),
    "path": (lambda: sys.path.insert(0, "/own"), lambda: [*sys.path]),
    "warnings": (lambda: warnings.simplefilter("error"), lambda: [*warnings.filters]),
    "level": (
        lambda: logging.getLogger("lightning").setLevel(logging.DEBUG),
        lambda: logging.getLogger("lightning").level,
    ),
    "handlers": (
        lambda: logging.root.addHandler(logging.NullHandler()),
        lambda: [*logging.root.handlers],
    ),
    "signals": (
        lambda: signal.signal(signal.SIGTERM, no_handler),
        lambda: signal.getsignal(signal.SIGTERM),
    ),
}


@pytest.mark.parametrize("what", LEFT_BEHIND)
def test_it_is_set_back(what: str) -> None:
    leave, look = LEFT_BEHIND[what]
    before, expected = Surroundings(), look()
    try:
        leave()
        assert look() != expected
    finally:
        before.set_back()
    assert look() == expected
