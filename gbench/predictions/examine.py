"""Ask finished runs about their test part and say where they are wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from gbench import folders as places
from gbench.data.spec import DataCard
from gbench.finished import Code, Finished, restored, settings_of
from gbench.predictions.predict import asked
from gbench.predictions.predictions import Predictions
from gbench.predictions.report import Report, report
from gbench.predictions.surroundings import measures
from gbench.predictions.together import check_together
from gbench.predictions.twins import in_conflict
from gbench.records import folder as runfolder
from gbench.records import mistakes as kept
from gbench.records import record as records


def examine(
    folders: Sequence[Path],
    code: Code | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> Report:
    """The report of runs on the same data and split; each leaves `errors.json` in its folder.

    `code` is as in `gbench eval --code`; `tell` is told what is being done. Raises UserError for
    runs that have not finished, are not as they were, or do not belong together.
    """
    for folder in folders:
        settings_of(folder, code)
    found = [records.read(folder / runfolder.RECORD) for folder in folders]
    check_together(found, one_setting=False)
    given = list[Predictions]()
    notes = list[str]()
    first: Finished | None = None
    for place, folder in enumerate(folders):
        tell(f"{place + 1} of {len(folders)}: {folder.name}")
        run = restored(folder, code)
        given.append(asked(run))
        try:
            kept.write(kept_of(given[-1]), folder, run.record.finished)
        except OSError as error:
            notes.append(f"{folder / kept.FILE_NAME} is not there for the page ({error.strerror})")
        first = first or run
        del run  # its data and weights, before the next one's
    assert first is not None
    tell("what surrounds the items")
    from gbench.audits.audited import audited

    config = first.config
    data = audited(
        DataCard.from_config(config["data"]),
        places.data_dir(config["data_dir"]),
        places.cache_dir(config["cache_dir"]),
        config.get("data_source", ""),
    )
    said = report(given, measures(data), in_conflict(data))
    said.notes.extend(notes)
    return said


def kept_of(given: Predictions) -> kept.Kept:
    """The counts that the page draws."""
    of_one = report([given])
    bins = [] if of_one.calibration is None else of_one.calibration.bins
    sums: list[list[float]] = [
        [b.answers, b.confidence * b.answers, b.accuracy * b.answers] if b.answers else [0, 0, 0]
        for b in bins
    ]
    return kept.Kept(given.classes, of_one.confusion, sums)
