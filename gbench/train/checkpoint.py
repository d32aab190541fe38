"""Checkpoints that are whole or absent, and hold tensors and plain types only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from gbench.errors import UserError
from gbench.folders import written_whole


class WholeCheckpoints(TorchCheckpointIO):  # type: ignore[misc]
    """Lightning's checkpoints, written to a temporary file, synced and renamed."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Path, storage_options: Any | None = None
    ) -> None:
        with written_whole(Path(path)) as file:
            torch.save(checkpoint, file)


def save_weights(weights: dict[str, torch.Tensor], path: Path) -> None:
    """A model's state dict."""
    with written_whole(path) as file:
        torch.save(weights, file)


def load_weights(path: Path) -> dict[str, torch.Tensor]:
    """A model's state dict; UserError where a run left none that can be read."""
    if not path.exists():
        raise UserError(
            f"{path.parent} has no {path.name}: the run has not finished. gbench resume it"
        )
    try:
        weights: dict[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise UserError(
            f"{path} cannot be read ({type(error).__name__}): is it damaged?"
        ) from error
    return weights
