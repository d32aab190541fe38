"""Errors that are the user's to mend: shown as one message with exit code 2, no stack trace."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """What was given, what is allowed, what to type instead."""


def unknown(
    kind: str, given: str, available: Iterable[str], hint: str = "", most: int = 1000
) -> UserError:
    """The error for a name that does not exist, with the nearest one that does.

    Of more than `most` names the first ones are listed, and how many more there are is told.

    `unknown("model", "ginn", ["gcn", "gin"])` reads
    "unknown model 'ginn': did you mean 'gin'? available: gcn, gin".
    """
    names = sorted({*available})
    near = difflib.get_close_matches(given, names, n=1, cutoff=0.5)
    said = [f"unknown {kind} '{given}'" + (f": did you mean '{near[0]}'?" if near else ".")]
    if names:
        more = f" and {len(names) - most:,} more" if len(names) > most else ""
        said.append(f"available: {', '.join(names[:most])}{more}" + ("." if hint else ""))
    return UserError(" ".join([*said, *([hint] if hint else [])]))
