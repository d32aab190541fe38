"""A run as a Python object: what its folder holds, its model, and its predictions."""

from __future__ import annotations

import html
import io
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gbench.config.compose import load as load_config
from gbench.errors import UserError
from gbench.records import folder as runfolder
from gbench.records.record import RunRecord
from gbench.records.record import read as read_record

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

    from gbench.predictions.predictions import Predictions


def load(run: str | Path, runs_dir: str | Path = "runs") -> Run:
    """A run by its folder, by its name in `runs_dir`, or by the start of its name.

    Raises UserError for a run that is not there. One that has not finished has a config and a
    curve.
    """
    return Run(runfolder.find(str(run), Path(runs_dir)))


class Run:
    """One run. Everything is read from its folder when it is first asked for.

    path: its folder, absolute
    config: all its settings, as a dict
    record: the RunRecord: `run.record.test`, `.valid`, `.seed`, `.seconds_total`, ...
    curve: a DataFrame with a row for each epoch
    model: the trained network
    predict: what it says of each item
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).absolute()

    @property
    def name(self) -> str:
        return self.path.name

    @cached_property
    def config(self) -> dict[str, Any]:
        return load_config(self.path / runfolder.CONFIG)

    @cached_property
    def record(self) -> RunRecord:
        """The record of a finished run; UserError for another."""
        if not self.is_finished:
            load_config(self.path / runfolder.CONFIG)  # a folder that is gone is told as such
            raise UserError(f"{self.name} has not finished: the same gbench.run(...) goes on")
        return read_record(self.path / runfolder.RECORD)

    @property
    def is_finished(self) -> bool:
        return (self.path / runfolder.RECORD).exists()

    @property
    def curve(self) -> pd.DataFrame:
        """Of each epoch `step`, from 0, its loss, validation metric (a fraction) and seconds.

        Empty where the run kept none (logger=none), or none yet.
        """
        import pandas as pd

        path = self.path / "metrics.csv"
        if not path.exists():
            return pd.DataFrame()
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        whole = [line for line in lines if line.endswith("\n")]  # the last may be half written
        return pd.read_csv(io.StringIO("".join(whole)))

    @cached_property
    def model(self) -> nn.Module:
        """The network with the weights that were tested, on the CPU and in evaluation mode.

        Its dataset is loaded for its sizes. Raises UserError as `predict` does, and for a method
        that is no network.
        """
        from torch import nn

        from gbench.finished import restored
        from gbench.interface.calling import unchanged

        with unchanged():
            network = restored(self.path).task.model
        if not isinstance(network, nn.Module):
            raise UserError(f"{self.record.model} is no network: it has no module, but predict()")
        return network.cpu().eval()

    def predict(self, split: str = "test", data: str | Path | None = None) -> Predictions:
        """What the model says of each item of a part (train, valid, test or all), or of new data.

        `data` is a folder of the form that the run was trained on. Raises UserError for a run that
        has not finished, and where code of your own has changed since it was trained.
        """
        from gbench.interface.calling import unchanged
        from gbench.predictions.predict import predict

        with unchanged():
            return predict(self.path, split, data)

    def summary(self) -> str:
        """What it reached and what it cost, in a few lines, as `gbench train` shows it."""
        from rich.console import Console

        from gbench.board.summary import summarise

        text = io.StringIO()
        plain = Console(file=text, force_jupyter=False, force_terminal=False, color_system=None)
        summarise(self.record, self.path, plain)
        return text.getvalue()

    def __repr__(self) -> str:
        if not self.is_finished:
            return f"<Run {self.name}, not finished>"
        from gbench.figures import metric_text, unit

        record = self.record
        metric, per = record.metric, unit(record.metric)
        test, valid = metric_text(metric, record.test), metric_text(metric, record.valid)
        return f"<Run {self.name}: test {metric} {test}{per}, valid {valid}{per}>"

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.summary() if self.is_finished else repr(self))}</pre>"
