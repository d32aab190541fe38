"""What `optim` may say beyond single values: options by the names of others, groups of parameters.

Whether an optimizer takes an option is told where it is made, which needs torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gbench.errors import UserError
from gbench.limits import check_limits
from gbench.named_runs import PREFIX

# mappings that take any key, checked against the signature of what reads them
FREE = ("optim.options", "optim.schedule_options")


def is_free(key: str) -> bool:
    """Whether a dotted setting may be new: `optim.options.momentum`."""
    return any(key == free or key.startswith(f"{free}.") for free in FREE)


def opened(word: str) -> str:
    """`optim.options.momentum=0.9` with Hydra's sign for what may be new or there already.

    So may a teacher, which any model may have.
    """
    key, _, value = word.lstrip("+").partition("=")
    is_teacher = key == "model.teacher" and value.strip("'\"").startswith(PREFIX)
    return f"++{word.lstrip('+')}" if is_free(key) or is_teacher else word


def check_groups(groups: list[Any]) -> None:
    """Raise UserError unless each entry of `optim.groups` is a `match` and what is set there."""
    example = "{match: 'layers.0.*', weight_decay: 5e-4}"
    for entry in groups:
        if not isinstance(entry, Mapping) or not isinstance(entry.get("match"), str):
            raise UserError(f"optim.groups: {entry} needs a match, as in {example}")
        if len(entry) == 1:
            raise UserError(
                f"optim.groups: match={entry['match']} sets nothing: add lr, weight_decay or "
                f"another argument of the optimizer, as in {example}"
            )
        stays = entry.get("lr") == 0  # parameters that are not trained
        for key in ("weight_decay",) if stays else ("lr", "weight_decay"):
            try:
                check_limits({f"optim.{key}": entry[key]} if key in entry else {})
            except UserError as error:
                raise UserError(f"optim.groups: match={entry['match']}: {error}") from error
