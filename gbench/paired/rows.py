"""A row that the user names: one run, or all finished runs of one setting."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from gbench.errors import UserError
from gbench.named_runs import RUN_NAME
from gbench.records import folder as runfolder
from gbench.records import record as records
from gbench.records.record import RunRecord


@dataclass(frozen=True)
class Row:
    """Finished runs of one setting, by (seed, fold)."""

    name: str  # of the run or the setting
    folders: dict[tuple[int, int], Path]
    records: dict[tuple[int, int], RunRecord]
    unfinished: tuple[str, ...] = ()  # runs of it that are left out

    @property
    def first(self) -> RunRecord:
        return next(iter(self.records.values()))


def row(name: str, runs_dir: Path) -> Row:
    """The row of a run's folder, of a run's name, or of a setting's: a run's without its seed.

    The start of a name does, where it is that of one setting. `<setting>-s0` of a dataset with
    folds is the row of that seed. Raises UserError for what is not there or not finished.
    """
    if any((folder / runfolder.CONFIG).is_file() for folder in (Path(name), runs_dir / name)):
        return _row(name, [runfolder.find(name, runs_dir)])
    if Path(name).parent != Path() and Path(name).parent.is_dir():  # runs/cora-gcn-1a2b3c4d5e
        runs_dir, name = Path(name).parent, Path(name).name
    found = sorted(path.parent for path in runs_dir.glob(f"*/{runfolder.CONFIG}"))
    matches = {path: m for path in found if (m := RUN_NAME.fullmatch(path.name))}
    starting = {path: m for path, m in matches.items() if name and path.name.startswith(name)}
    settings = sorted({match["setting"] for match in starting.values()})
    if len(settings) > 1:
        raise UserError(f"'{name}' begins the names of several settings: {', '.join(settings)}")
    if not settings:
        return _row(name, [runfolder.find(name, runs_dir)])  # of another name, or none
    seed = re.fullmatch(rf"{re.escape(settings[0])}-s(\d+)", name)
    chosen = [path for path, match in starting.items() if seed is None or match["seed"] == seed[1]]
    return _row(name if seed else settings[0], chosen)


def _row(name: str, folders: list[Path]) -> Row:
    finished = [folder for folder in folders if (folder / runfolder.RECORD).exists()]
    if not finished:
        raise UserError(f"{name} has not finished: gbench resume {folders[0]}")
    read = {folder: records.read(folder / runfolder.RECORD) for folder in finished}
    by_key = {(record.seed, record.fold): folder for folder, record in read.items()}
    return Row(
        finished[0].name if len(finished) == 1 else name,
        dict(sorted(by_key.items())),
        {key: read[folder] for key, folder in sorted(by_key.items())},
        tuple(folder.name for folder in folders if folder not in finished),
    )
