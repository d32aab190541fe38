"""What a model cannot do without, told before it trains, with what to type.

A model says so in a class attribute, `needs = ("teacher",)`, by the names of the batch's fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, NamedTuple

from torch import nn

from gbench.data.batch import Batch
from gbench.data.spec import DataSpec
from gbench.errors import UserError, unknown


class Field(NamedTuple):
    """A field of the batch: that of DataSpec which says whether it is there, and words for it."""

    of_spec: str
    what: str
    brought_by: str


FIELDS: Mapping[str, Field] = {
    "teacher": Field(
        "teacher_dim",
        "the answers of a finished run, its teacher",
        "model.teacher=run:NAME",
    ),
    "pe": Field(
        "pe_dim",
        "a positional encoding",
        "encoding=rwse, or another of gbench list encodings",
    ),
    "pairs": Field(
        "pair_dim",
        "values of pairs of nodes",
        "an encoding of pairs, as encoding=rrwp",
    ),
    "edge_code": Field(
        "edge_categories",
        "categories of edges",
        "data that have them, as data=zinc",
    ),
    "edge_attr": Field(
        "edge_dim",
        "numbers of edges",
        "data that have them: columns of edges.csv, or a float `edge_attr` of saved graphs",
    ),
    "edge_weight": Field(
        "has_edge_weight",
        "edge weights",
        "data that have them: a column `weight` of edges.csv, or `edge_weight` of saved graphs",
    ),
    "x_numbers": Field(
        "num_numbers",
        "numbers of nodes beside their categories",
        "data that have both",
    ),
}


def reads(model: nn.Module, name: str) -> bool:
    """Whether the model, or a part of it, says in `uses` or `needs` that it reads `batch.name`."""
    return any(
        name in (*getattr(type(part), "uses", ()), *getattr(type(part), "needs", ()))
        for part in model.modules()
    )


def check_needs(target: Any, model: str, data: str, spec: DataSpec) -> None:
    """Raise UserError for what the class `target` needs and the data, as they are, have not.

    And for names in its `uses` and `needs` that say nothing. `model` and `data` are their names.
    """
    _stated(target, "uses", [field.name for field in fields(Batch)])
    for name in _stated(target, "needs", FIELDS):
        field = FIELDS[name]
        if not getattr(spec, field.of_spec):
            raise UserError(
                f"model={model} cannot do without {field.what} (batch.{name}), and data={data} "
                f"comes here without: take {field.brought_by}"
            )


def _stated(target: Any, attribute: str, names: Iterable[str]) -> tuple[str, ...]:
    """What a class says in `uses` or `needs`. Raises UserError for other words than `names`."""
    said = getattr(target, attribute, ())
    if isinstance(said, str):
        raise UserError(f'{target.__qualname__}.{attribute} is {said!r}: wanted is ("{said}",)')
    for name in said:
        if name not in names:
            raise unknown(f"word in {target.__qualname__}.{attribute}", str(name), names)
    return (*said,)
