"""Learning rates over a run: a function for each `optim.schedule`, by its name with - for _.

A schedule answers the factor of `optim.lr`, and asks by the names of its arguments for what it
reads, as one of the user's own does:

    epoch, max_epochs   epochs before this one, and of the whole run; counted after any warm-up
    step, max_steps     the same in steps of the optimizer: asked for before each
    steps_per_epoch
    curve               a row of each epoch before: train_loss, valid_loss, and valid, the metric
    direction           of the metric: max or min
    lr, lr_factor, ...  what else `optim` sets
    others              of `optim.schedule_options`

It keeps nothing from one call to the next, so that a resumed run has the rates of a whole one.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence

Rows = Sequence[Mapping[str, float]]

# what torch's ReduceLROnPlateau takes for progress by default: better by this share
PROGRESS = 1e-4


def constant() -> float:
    """1."""
    return 1.0


def step(epoch: int, lr_factor: float, lr_every: int) -> float:
    """lr_factor^n once n times `lr_every` epochs are over, as torch's StepLR after each epoch.

    GIN's authors step before each, which is the same in the versions that they name (0.4.1 and
    1.0.0): there the first step counts none; since 1.1 the rate would fall one epoch sooner.
    """
    return lr_factor ** (epoch // lr_every)


def plateau(
    curve: Rows, direction: str, plateau_on: str, lr_factor: float, lr_patience: int
) -> float:
    """lr_factor^n; n: how often there was no progress for more than `lr_patience` epochs.

    As torch's ReduceLROnPlateau counts, on the validation loss or, with `plateau_on` metric, on the
    dataset's own.
    """
    key, rises = ("valid", direction == "max") if plateau_on == "metric" else ("valid_loss", False)
    count, best, waited = 0, -math.inf if rises else math.inf, 0
    for row in curve:
        value = row[key]
        if value > best * (1 + PROGRESS) if rises else value < best * (1 - PROGRESS):
            best, waited = value, 0
        else:
            waited += 1
        if waited > lr_patience:
            count, waited = count + 1, 0
    return lr_factor**count


def cosine(epoch: int, max_epochs: int, lr: float, min_lr: float) -> float:
    """M + (1 - m) (1 + cos(π epoch / max_epochs)) / 2 with m = min_lr / lr.

    Loshchilov & Hutter, "SGDR", ICLR 2017, without restarts; torch's CosineAnnealingLR.
    """
    least = min_lr / lr
    return least + (1 - least) * (1 + math.cos(math.pi * epoch / max_epochs)) / 2


def one_cycle(
    step: int,
    max_steps: int,
    *,
    pct_start: float = 0.3,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
    anneal_strategy: str = "cos",
) -> float:
    """Up from 1 / div_factor to 1 in the first share `pct_start`, then down to the least.

    That is 1 / (div_factor · final_div_factor), at the last step. Smith & Topin,
    "Super-Convergence", 2018, as torch's OneCycleLR with its names; the optimizer's momentum
    stays as it is (cycle_momentum=False).
    """
    peak, first = pct_start * max_steps - 1, 1 / div_factor
    if step <= peak and peak > 0:
        start, end, share = first, 1.0, step / peak
    else:
        start, end = 1.0, first / final_div_factor
        share = (step - peak) / (max_steps - 1 - peak)
    if anneal_strategy == "linear":
        return start + (end - start) * share
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


SCHEDULES: dict[str, Callable[..., float]] = {
    function.__name__.replace("_", "-"): function
    for function in (constant, step, plateau, cosine, one_cycle)
}


def readers(setting: str) -> tuple[str, ...]:
    """The schedules that read a setting of `optim`."""
    return tuple(
        name
        for name, function in SCHEDULES.items()
        if setting in inspect.signature(function).parameters
    )
