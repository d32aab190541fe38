"""Lightning's Trainer, quiet, with gbench's own loop settings."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from gbench.errors import UserError, unknown
from gbench.train.checkpoint import WholeCheckpoints

# Keys of the config's `trainer` that gbench reads itself; all others go to Lightning by name.
OWN_KEYS = ("max_epochs", "monitor", "ties", "select", "stop", "patience", "limit_batches")


def make_trainer(
    settings: Mapping[str, Any], callbacks: Sequence[Callback], loggers: Sequence[Logger]
) -> Trainer:
    """A Trainer that runs until the Epochs callback says stop.

    Raises UserError for an argument that Lightning does not know or cannot fulfil here.
    """
    arguments = {key: value for key, value in settings.items() if key not in OWN_KEYS}
    legal = set(inspect.signature(Trainer.__init__).parameters) - {"self"}
    for name in arguments:
        if name not in legal:
            raise unknown("argument of Lightning's Trainer", name, legal)
    try:
        return Trainer(
            **arguments,
            max_epochs=-1,
            callbacks=list(callbacks),
            logger=list(loggers),
            plugins=[WholeCheckpoints()],
            limit_val_batches=0,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
    except (MisconfigurationException, ImportError, ValueError, TypeError, AttributeError) as error:
        sentence = str(error).split("\n")[0]
        raise UserError(
            f"Lightning cannot train with these trainer settings: {sentence}"
        ) from error
