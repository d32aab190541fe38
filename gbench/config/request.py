"""What a command line asks for: its words, sorted by what reads them. Plain data, nothing composed.

Raises UserError for words that can be nothing: an unknown choice, a word without `=`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gbench.choices import GROUPS, choices, read_yaml
from gbench.config.chosen import checked_choice, with_choices_of_files
from gbench.config.experiment import experiment_of_pair
from gbench.config.optim import opened
from gbench.data.places import data_source, own_folder
from gbench.errors import UserError


@dataclass(frozen=True)
class Request:
    """The settings of one run as they were asked for."""

    picks: dict[
        str, str
    ]  # of each group that was named, the experiment of the pair, what they choose
    named: frozenset[str]  # the groups that were
    split: list[str]  # data.split=, if it is there
    member: list[str]  # data.name=, which chooses from a collection
    values: list[str]  # all other words, in their order
    source: str  # where raw files come from instead of their official URLs
    own_facts: dict[str, Any]  # of the folder that data=folder names
    config_dirs: Sequence[Path]

    @property
    def experiment(self) -> str | None:
        """The published setting that the run begins with."""
        name = self.picks.get("experiment", "null")
        return None if name == "null" else name

    @property
    def first(self) -> list[str]:
        """The words that choose a protocol and a dataset, before any value is changed."""
        return [*self.split, *self.member]

    @property
    def typed(self) -> list[str]:
        """The dotted names of the settings that were given a value."""
        return [word.split("=", 1)[0].lstrip("+") for word in self.values]


def requested(words: Sequence[str], config_dirs: Sequence[Path]) -> Request:
    """The words of a command line, sorted."""
    words, source = data_source(words)
    words, own_facts = own_folder(words)
    for group in GROUPS:
        choices(group, config_dirs)  # refuses two of one name
    words, member = _member_of_collection(words, config_dirs)
    picks = _picks(words, config_dirs)
    split = [word for word in words if word.startswith("data.split=")]
    return Request(
        picks=with_choices_of_files(
            picks | experiment_of_pair(picks, split, config_dirs), config_dirs
        ),
        named=frozenset(picks),
        split=split,
        member=member,
        values=[
            opened(word) for word in words if word.split("=", 1)[0] not in (*GROUPS, "data.split")
        ],
        source=source,
        own_facts=own_facts,
        config_dirs=config_dirs,
    )


def _member_of_collection(
    words: Sequence[str], config_dirs: Sequence[Path]
) -> tuple[list[str], list[str]]:
    """The words without the `data.name=` that chooses from a collection, and that word.

    A dataset that also has a YAML of its own stands under its one name: that file is chosen.
    """
    chosen = [word.removeprefix("data=") for word in words if word.startswith("data=")]
    path = choices("data", config_dirs).get(chosen[-1]) if chosen else None
    names = read_yaml(path).get("names", {}) if path else {}
    member = [word for word in words if names and word.startswith("data.name=")]
    rest = [word for word in words if word not in member]
    own = names.get(member[-1].removeprefix("data.name=")) if member else None
    if isinstance(own, str):
        return [f"data={own}" if word.startswith("data=") else word for word in rest], []
    return rest, member


def _picks(words: Sequence[str], config_dirs: Sequence[Path]) -> dict[str, str]:
    """The chosen file of each group that the user named, each checked to exist."""
    picks = {}
    for word in words:
        group, equals, choice = word.partition("=")
        if group.lstrip("~+") in GROUPS and group[0] in "~+":
            raise UserError(f"{word}: choose a {group[1:]} with {group[1:]}=NAME")
        if not equals and not word.startswith("~"):
            raise UserError(
                f"'{word}' is not a setting: type key=value, such as model=gin or seed=3"
            )
        if group in GROUPS:
            if "," in choice and not choice.startswith("["):
                raise UserError(
                    f"{word} names several runs, which gbench train starts: here give one {group}"
                )
            picks[group] = checked_choice(group, choice, config_dirs)
    return picks
