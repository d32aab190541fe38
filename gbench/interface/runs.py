"""Several runs, in the order of their points."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gbench.interface.run import Run

if TYPE_CHECKING:
    import pandas as pd


class Runs(list[Run]):
    """The finished runs of a sweep."""

    def frame(self) -> pd.DataFrame:
        """A row for each run: which it is, and what it reached (as fractions, not in percent)."""
        import pandas as pd

        names = ("run", "model", "data", "split", "seed", "fold", "metric", "valid", "test")
        rows = [{name: getattr(run.record, name) for name in names} for run in self]
        return pd.DataFrame(rows, columns=names)

    def _repr_html_(self) -> str:
        return str(self.frame().to_html(index=False))
