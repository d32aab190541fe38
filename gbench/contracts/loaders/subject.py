"""A dataset's loader, and what it loads, each time into a cache of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lightning.pytorch import seed_everything

from gbench import folders
from gbench.config.compose import Config
from gbench.data.dataset import Dataset
from gbench.data.files import named, raw
from gbench.data.load import load
from gbench.data.spec import DataCard
from gbench.locate import locate


@dataclass(frozen=True, eq=False)
class Loader:
    """The config of a dataset, and the function that its YAML names."""

    config: Config
    function: Callable[..., Any]

    @staticmethod
    def of(config: Config) -> Loader:
        """Raises UserError where raw files cannot be had."""
        loader = Loader(config, locate(config["data"]["_target_"]))
        raw.obtain(loader.card, loader.data_dir, config.get("data_source", ""))
        return loader

    @cached_property
    def card(self) -> DataCard:
        return DataCard.from_config(self.config["data"])

    @property
    def data_dir(self) -> Path:
        return folders.data_dir(self.config["data_dir"])

    @property
    def folder(self) -> Path | None:
        """Where the raw files are, if there are any."""
        card = named.at_hand(self.card, self.data_dir)
        return self.data_dir / card.folder if card.folder else None

    @cached_property
    def dataset(self) -> Dataset:
        """What it loads."""
        return self.load(seed=0)

    def load(self, seed: int) -> Dataset:
        """The dataset as a run gets it, nothing of it prepared before."""
        seed_everything(seed, verbose=False)
        with tempfile.TemporaryDirectory() as cache_dir:
            return load(self.card, self.data_dir, Path(cache_dir))

    def fingerprint_elsewhere(self) -> str:
        """What another process loads, in which sets of words have another order."""
        asked = {"config": self.config, "seed": 1}
        answer = subprocess.run(
            [sys.executable, "-m", "gbench.contracts.loaders.elsewhere"],
            input=json.dumps(asked),
            env={**os.environ, "PYTHONHASHSEED": "4242"},
            capture_output=True,
            text=True,
        )
        if answer.returncode:
            return answer.stderr.strip()
        return answer.stdout.split()[-1]
