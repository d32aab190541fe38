"""Lightning's Trainer, quiet, with gbench's own loop settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from gbench.config.arguments import PASSED, check_arguments
from gbench.errors import UserError
from gbench.train.checkpoint import WholeCheckpoints
from gbench.train.lightning_private import keep_losses_whole, look_for_callbacks_once


def make_trainer(
    settings: Mapping[str, Any], callbacks: Sequence[Callback], loggers: Sequence[Logger]
) -> Trainer:
    """A Trainer that runs until the callbacks Epochs and Rounds say stop.

    Raises UserError for an argument that is not for gbench or that Lightning cannot fulfil here.
    """
    check_arguments(settings)
    look_for_callbacks_once()
    arguments = {key: value for key, value in settings.items() if key in PASSED}
    if arguments.get("deterministic") is False and not torch.are_deterministic_algorithms_enabled():
        del arguments["deterministic"]  # to say it to torch would import its compiler
    try:
        trainer = Trainer(
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
    if settings.get("precision") == "16-mixed" and str(trainer.precision) != "16-mixed":
        raise UserError(
            "trainer.precision=16-mixed needs a GPU, and on the CPU Lightning would compute in "
            "bfloat16 instead: say so with trainer.precision=bf16-mixed"
        )
    keep_losses_whole(trainer)
    return trainer
