"""The sentence that defines a fact, from the module that tells it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from gbench.audits.fact import Audit


def definitions_of(audit: Audit, known: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """A sentence for each fact of an audit, in the order in which it tells them.

    `known` are the DEFINITIONS of the modules in their order, whose names may have placeholders, as
    in `ceiling at depth {k}, {labels}`; facts whose sentences are the same stand once, as the name
    with placeholders. Of two modules that define one name the first counts.
    """
    patterns = [(_pattern(name), name, text) for each in known for name, text in each.items()]
    patterns.sort(key=lambda pattern: pattern[1].count("{"))  # the most exact first
    found: dict[str, str] = {}
    for fact in dict.fromkeys(fact.fact for fact in audit.facts):
        name, text = _defined(fact, patterns)
        found.setdefault(name, text)
    return found


def is_defined(fact: str, known: Iterable[Mapping[str, str]]) -> bool:
    """Whether some module defines a fact of that name."""
    patterns = [(_pattern(name), name, text) for each in known for name, text in each.items()]
    return bool(_defined(fact, patterns)[1])


def _defined(fact: str, patterns: Iterable[tuple[re.Pattern[str], str, str]]) -> tuple[str, str]:
    bare = re.sub(r", (minimum|maximum)$", "", fact)
    for pattern, name, text in patterns:
        if pattern.fullmatch(fact) or pattern.fullmatch(bare):
            return name, text
    return fact, ""


def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{[^}]*\\\}", "(.+)", re.escape(name)))
