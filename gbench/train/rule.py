"""A function that a setting names and that asks by its arguments' names for what it reads."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from gbench.errors import UserError, unknown


@dataclass(frozen=True)
class Rule:
    """A function, with the facts that it asks for and the options that it was given."""

    function: Callable[..., Any]
    asks: tuple[str, ...]
    options: Mapping[str, Any]

    @staticmethod
    def of(
        setting: str,
        function: Callable[..., Any],
        facts: Collection[str],
        options: Mapping[str, Any],
        place: str = "",
    ) -> Rule:
        """`setting` is how the function was named, and `place` the setting that has its options.

        Raises UserError for an argument that is neither a fact nor an option, and for an option
        that is no argument.
        """
        try:
            parameters = inspect.signature(function).parameters
        except ValueError as error:  # of a function in C
            raise UserError(f"{setting} does not say what arguments it takes") from error
        several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        taken = {name: each for name, each in parameters.items() if each.kind not in several}
        takes_any = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
        free = [name for name in taken if name not in facts]
        for name in options:
            if name not in free and not takes_any:
                if not free:
                    raise UserError(f"{setting} takes no options: leave out {place}.{name}")
                raise unknown(f"option of {setting}", name, free)
        for name in free:
            if taken[name].default is inspect.Parameter.empty and name not in options:
                hint = f". If it is an option: {place}.{name}=VALUE" if place else ""
                raise UserError(
                    f"{setting} asks for {name}, and what there is to read is "
                    f"{', '.join(facts)}{hint}"
                )
        return Rule(function, tuple(name for name in taken if name in facts), options)

    def __call__(self, facts: Mapping[str, Any]) -> Any:
        """What the function answers."""
        asked = {name: facts[name] for name in self.asks}
        return self.function(**asked, **self.options)
