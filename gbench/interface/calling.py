"""A call from a program leaves that program as it was, and does not depend on how it was.

The command line has a process to itself. Here, what a run sets for itself is set back when it ends,
however it ends: the generators of Python, NumPy and torch, torch's flags, warnings, the levels of
Lightning's loggers, and environment variables of Lightning and cuBLAS.

What stays: imported modules, files in the folders of runs and of the cache, and that Python finds
modules in the folders given as `config_dir`.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from gbench.console import quieted

_ONE = threading.RLock()  # runs share the generators, and Hydra is one in a process
_VARIABLES = ("PL_GLOBAL_SEED", "PL_SEED_WORKERS", "CUBLAS_WORKSPACE_CONFIG")
_LOGGERS = ("lightning", "lightning.pytorch", "lightning.fabric", "lightning_fabric")


@contextmanager
def alone(quiet: bool = False) -> Iterator[None]:
    """One call of gbench at a time in a process; another thread's waits."""
    with _ONE, warnings.catch_warnings(), quieted(quiet):
        yield


@contextmanager
def unchanged(quiet: bool = False) -> Iterator[None]:
    """Train or answer inside as in a fresh process; the caller finds its own state afterwards."""
    import numpy
    import torch

    from gbench.quiet import silence

    cuda = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with ExitStack() as after:
        after.enter_context(alone(quiet))
        after.enter_context(torch.random.fork_rng(cuda))
        after.callback(random.setstate, random.getstate())
        state = numpy.random.get_state()  # noqa: NPY002 - the global one, which seeds set
        after.callback(numpy.random.set_state, state)
        after.callback(_set_variables, {name: os.environ.get(name) for name in _VARIABLES})
        import lightning.pytorch  # noqa: F401 - sets its loggers' levels when first imported

        for logger in map(logging.getLogger, _LOGGERS):
            after.callback(logger.setLevel, logger.level)
        after.callback(
            torch.use_deterministic_algorithms,
            torch.are_deterministic_algorithms_enabled(),
            warn_only=torch.is_deterministic_algorithms_warn_only_enabled(),
        )
        for name in ("benchmark", "deterministic"):
            after.callback(setattr, torch.backends.cudnn, name, getattr(torch.backends.cudnn, name))
        after.callback(torch.set_default_dtype, torch.get_default_dtype())
        torch.set_default_dtype(torch.float32)
        after.enter_context(torch.device("cpu"))  # where the caller has set another default
        after.enter_context(torch.enable_grad())
        silence()
        yield


def _set_variables(before: dict[str, str | None]) -> None:
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
