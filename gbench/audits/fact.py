"""What an audit says of a dataset: facts, and where they are kept.

Light: the leaderboard reads kept audits through it, without torch. One audit is one file,
`cache_dir/data/<name>/audit-<fingerprint>.json`, of the dataset and split that has the fingerprint.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gbench.folders import written_whole

if TYPE_CHECKING:
    import pandas as pd

LAYOUT = 1  # goes up when a fact means something else than it did: kept audits are made anew

Value = float | int | str


class Fact(NamedTuple):
    """One fact. The unit is count, %, ratio, or a metric's name as papers write it; "" for texts.

    `split` is "" for facts of the whole dataset; the protocol's name, with `fold` from 0, for those
    of a fold, and `<name> mean` for what is told over folds: a fact's mean under its own name, and
    with ", minimum" and ", maximum" behind it; train, valid or test for facts of one part where a
    dataset of graphs has one split only.
    """

    split: str
    fold: int | None
    fact: str
    value: Value
    unit: str


@dataclass(frozen=True)
class Audit:
    """All facts of one dataset under one of its splits."""

    dataset: str  # as results stand under it: DataCard.title
    split: str
    fingerprint: str  # of the dataset as training reads it
    facts: tuple[Fact, ...]
    skipped: Mapping[str, str] = field(default_factory=dict)  # what was not computed, and why
    seconds: float = 0.0
    versions: Mapping[str, str] = field(default_factory=dict)  # of what computed it

    def __repr__(self) -> str:
        return f"<Audit of {self.dataset}, split {self.split}: {len(self.facts):,} facts>"

    def rows(self) -> list[dict[str, Any]]:
        """One dict for each fact: dataset, split, fold, fact, value, unit."""
        return [{"dataset": self.dataset, **fact._asdict()} for fact in self.facts]

    def frame(self) -> pd.DataFrame:
        """The same as a DataFrame; `fold` is empty for facts of the whole dataset."""
        import pandas as pd

        frame = pd.DataFrame(self.rows(), columns=["dataset", *Fact._fields])
        return frame.astype({"fold": "Int64"})

    def _repr_html_(self) -> str:
        """What a notebook shows: facts of the whole dataset, then those told over its folds."""
        frame = self.frame()
        whole = frame[frame["fold"].isna()]
        shown = whole if len(whole) else frame
        title = f"{self.dataset}, {self.split}: {len(self.facts)} facts, {self.seconds:.1f} s"
        table = shown.drop(columns=["dataset", "fold"]).to_html(index=False)
        return f"<b>{html.escape(title)}</b>{table}"

    def find(self, fact: str, split: str = "", fold: int | None = None) -> Value | None:
        """The value of one fact, or None where it was not computed."""
        return self._by_place.get((split, fold, fact))

    def of_folds(self, fact: str) -> list[Value]:
        """A fact's values in the folds that were audited, in their order."""
        return [f.value for f in self.facts if f.fact == fact and f.fold is not None]

    @property
    def folds(self) -> int:
        """How many folds were audited."""
        return len({fact.fold for fact in self.facts if fact.fold is not None})

    @property
    def _by_place(self) -> dict[tuple[str, int | None, str], Value]:
        known: dict[tuple[str, int | None, str], Value] | None = self.__dict__.get("by_place")
        if known is None:
            known = {(f.split, f.fold, f.fact): f.value for f in self.facts}
            self.__dict__["by_place"] = known
        return known

    def write(self, path: Path) -> None:
        """Keep it: the old file or the new one is there, never a part."""
        said = {
            "layout": LAYOUT,
            "dataset": self.dataset,
            "split": self.split,
            "fingerprint": self.fingerprint,
            "seconds": self.seconds,
            "versions": dict(self.versions),
            "skipped": dict(self.skipped),
            "facts": [[*fact] for fact in self.facts],
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as file:
            file.write(json.dumps(said).encode())

    @staticmethod
    def read(path: Path) -> Audit | None:
        """The audit that is kept there; None where there is none, or of another layout."""
        try:
            said = json.loads(path.read_text())
            if said["layout"] != LAYOUT:
                return None
            return Audit(
                said["dataset"],
                said["split"],
                said["fingerprint"],
                tuple(Fact(*row) for row in said["facts"]),
                said["skipped"],
                said["seconds"],
                said["versions"],
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None


def path_of(name: str, fingerprint: str, cache_dir: Path) -> Path:
    """Where the audit of a dataset with this fingerprint is kept."""
    return cache_dir / "data" / name / f"audit-{fingerprint[:16]}.json"


def kept(name: str, fingerprint: str, cache_dir: Path) -> Audit | None:
    """The audit of a dataset with this fingerprint, where one was made."""
    audit = Audit.read(path_of(name, fingerprint, cache_dir))
    return audit if audit and audit.fingerprint == fingerprint else None


def all_kept(name: str, cache_dir: Path) -> Iterator[Audit]:
    """All audits of a dataset of this name, of whatever splits."""
    for path in sorted((cache_dir / "data" / name).glob("audit-*.json")):
        if audit := Audit.read(path):
            yield audit


def over_folds(facts: Iterable[Fact], split: str) -> Iterator[Fact]:
    """Mean, minimum and maximum over the folds of each number that was told of all of them.

    A fact that is equal in all folds is told once, as its mean.
    """
    by_name: dict[tuple[str, str], list[float]] = {}
    folds = set()
    for fact in facts:
        if fact.fold is not None and isinstance(fact.value, int | float):
            by_name.setdefault((fact.fact, fact.unit), []).append(fact.value)
            folds.add(fact.fold)
    if len(folds) < 2:
        return
    for (name, unit), values in by_name.items():
        if len(values) < len(folds):
            continue
        place = f"{split} mean", None
        yield Fact(*place, name, sum(values) / len(values), unit)
        if min(values) != max(values):
            yield Fact(*place, f"{name}, minimum", min(values), unit)
            yield Fact(*place, f"{name}, maximum", max(values), unit)
