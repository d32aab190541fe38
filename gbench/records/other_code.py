"""What is told of code that changed: by `gbench train`, `resume` and `eval`."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gbench.choices import read_yaml
from gbench.config.identity import decisive, identity, run_name
from gbench.errors import UserError
from gbench.own_code.kept import CODE, changes, differences
from gbench.own_code.stated import has_own_code, judged_alike
from gbench.records.folder import CONFIG, RECORD
from gbench.records.record import RunRecord

Config = Mapping[str, Any]


def runs_of_other_code(config: Config, runs_dir: Path) -> Iterator[str]:
    """A sentence for each run that differs from this config in nothing but its code."""
    if "code" not in config:
        return
    pattern = glob.escape(run_name(config)).replace(identity(config), "*")
    for path in sorted(runs_dir.glob(f"{pattern}/{CONFIG}")):
        try:
            other = read_yaml(path)
            same = _without_code(other) == _without_code(config)
        except (UserError, KeyError, TypeError, AttributeError):  # edited by hand
            continue
        different = [*differences(other.get("code", {}), config["code"])]
        if not same or not different:
            continue
        what = "code" if "code" in other else "code, which this gbench did not keep yet"
        name, files = path.parent.name, ", ".join(different)
        if (path.parent / RECORD).exists():
            yield f"{name} has finished with other {what}: {files}. This is a run of its own."
        else:
            yield (
                f"{name} was interrupted with other {what}: {files}. This is a run of its own; "
                f"gbench resume {path.parent} goes on with that one, and with its code."
            )


def changed_since(config: Config) -> str:
    """`mine/nodes.py has changed, mine/table.pt (model.table) has changed`, or nothing."""
    if "code" not in config and has_own_code(config):
        return "code of your own may have changed (this gbench did not keep it yet)"
    return ", ".join(map(str, changes(config)))


def not_told(record: RunRecord, config: Config) -> list[str]:
    """The metrics that a config asks for beside the dataset's own, and a record has not."""
    names = config["trainer"].get("also", ())
    older = [n for n in names if not judged_alike((record.config, config), n)]
    return [
        f"{name} of the code as it is now" if name in record.also else name
        for name in names
        if name in older or name not in record.also
    ]


def finished_notes(found: RunRecord, asked: Config | None = None) -> Iterator[str]:
    """What is to be said of a run that has finished before: its code, what it was not asked for."""
    if changed := changed_since(found.config):
        yield f"Since then {changed}: gbench train trains the new code, as a run of its own."
    if missing := not_told(found, asked) if asked else []:
        yield f"Its record has no {', '.join(missing)}, which trainer.also asks for."


def refuse_changed(config: Config, folder: Path) -> None:
    """Raise UserError where a run's weights belong to other code than the user's folders hold."""
    found = changes(config)
    if not found:
        return
    raise UserError(
        f"since {folder.name} was trained {', '.join(map(str, found))}, and its weights belong to "
        f"the code of then. --code=kept evaluates them with that, which {folder / CODE} has; "
        "--code=now with the code as it is now; gbench train trains the new code"
    )


def refuse_edited(config: Config, base: Config) -> None:
    """Raise UserError where a trial would execute another version of the code than its search."""
    found = config.get("code", {}).get("sources", {})
    began_with = base.get("code", {}).get("sources", {})
    edited = [name for name, said in began_with.items() if found.get(name, said) != said]
    if edited:
        raise UserError(
            f"{', '.join(edited)}: edited while the search ran, and its trials have to be of one "
            "code. The same command begins a search with the new code"
        )


def _without_code(config: Config) -> dict[str, Any]:
    return decisive({key: value for key, value in config.items() if key != "code"})
