"""Records from Weights & Biases, where `logger=wandb` puts a whole record into each summary."""

from __future__ import annotations

import inspect

from gbench.errors import UserError
from gbench.mirror.account import check_reachable
from gbench.records.find import Problem
from gbench.records.record import RunRecord

PREFIX = "wandb:"
_RUNS_PER_QUESTION = 200


def checked(place: str) -> str:
    """The place, if it reads wandb:ENTITY/PROJECT."""
    entity, _, project = place.removeprefix(PREFIX).partition("/")
    if not place.startswith(PREFIX) or not entity or not project or "/" in project:
        raise UserError(f"--from {place}: type wandb:ENTITY/PROJECT")
    return place


def find(place: str) -> tuple[list[RunRecord], list[Problem]]:
    """The records of the finished runs of "wandb:ENTITY/PROJECT".

    Raises UserError for a place that wandb does not know, and where it cannot be asked.
    """
    path = checked(place).removeprefix(PREFIX)
    check_reachable()
    import wandb

    records: list[RunRecord] = []
    problems: list[Problem] = []
    # Newer versions ask for each run's summary apart unless they are told not to.
    whole = {"lazy": False} if "lazy" in inspect.signature(wandb.Api.runs).parameters else {}
    try:
        runs = wandb.Api().runs(path, per_page=_RUNS_PER_QUESTION, **whole)
        for run in runs:
            text = run.summary.get("record")
            if run.state != "finished" or not isinstance(text, str):
                continue  # it has no result, or is a row, or is not gbench's
            try:
                records.append(RunRecord.from_json(text))
            except UserError as error:
                problems.append(Problem(f"{place}/{run.id}", str(error)))
    except (ValueError, wandb.errors.Error) as error:
        raise UserError(f"--from {place}: {error}") from error
    return records, problems
