"""Words of the command line that name a place: data.source= and, of data=folder, data.path=.

They are taken out before Hydra reads the rest, so that a path may hold any character. Neither says
what a dataset is: a copy is verified like the original, and a folder stands under its content.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gbench.data.files.supply import checked_place
from gbench.errors import UserError
from gbench.quotes import unquoted


def data_source(overrides: Sequence[str]) -> tuple[list[str], str]:
    """The other words, and where raw files come from instead of their official URLs."""
    rest, place = _taken("data.source=", overrides)
    return rest, checked_place(place)


def own_folder(overrides: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """The other words, and the facts of the folder that data=folder data.path= names.

    Raises UserError for a folder that is not there or not as gbench/data/own.py says.
    """
    if [word for word in overrides if word.startswith("data=")][-1:] != ["data=folder"]:
        return list(overrides), {}
    rest, place = _taken("data.path=", overrides)
    if not place:
        raise UserError(
            "data=folder needs data.path=FOLDER, a folder of CSV files or a saved PyG dataset: "
            "`gbench data --help` says what belongs in it"
        )
    from gbench.data.own import facts_of

    return rest, facts_of(Path(place))


def with_own(config: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
    """A composed config with the facts of a folder of one's own, if there is one, in its data."""
    if not facts:
        return config
    data = {key: value for key, value in config["data"].items() if key != "path"}
    return {**config, "data": data | facts}


def _taken(key: str, overrides: Sequence[str]) -> tuple[list[str], str]:
    chosen = [word for word in overrides if word.startswith(key)]
    place = chosen[-1].removeprefix(key) if chosen else ""
    return [word for word in overrides if word not in chosen], _plain(place)


def _plain(place: str) -> str:
    """A path without the quotes, or the backslashes before commas, that keep it one value."""
    if Path(place).expanduser().exists():
        return place
    bare = unquoted(place)
    return place.replace("\\,", ",") if bare == place else bare
