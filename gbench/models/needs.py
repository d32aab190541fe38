"""What a model cannot do without, told before it trains, with what to type.

A model says so in a class attribute, `needs = ("teacher",)`, by the names of the batch's fields.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from gbench.data.spec import DataSpec
from gbench.errors import UserError, unknown

Has = Callable[[DataSpec], Any]

# whether the data have it, what it is, and what brings it
NEEDS: Mapping[str, tuple[Has, str, str]] = {
    "teacher": (
        lambda spec: spec.teacher_dim,
        "the answers of a finished run, its teacher",
        "model.teacher=run:NAME",
    ),
    "pe": (
        lambda spec: spec.pe_dim,
        "a positional encoding",
        "encoding=rwse, or another of gbench list encodings",
    ),
    "pairs": (
        lambda spec: spec.pair_dim,
        "values of pairs of nodes",
        "an encoding of pairs, as encoding=rrwp",
    ),
    "edge_attr": (
        lambda spec: spec.edge_dim or spec.edge_categories,
        "features of edges",
        "data that have them, as data=zinc",
    ),
    "edge_weight": (
        lambda spec: spec.has_edge_weight,
        "edge weights",
        "data that have them: a column `weight` of edges.csv, or `edge_weight` of saved graphs",
    ),
    "x_numbers": (
        lambda spec: spec.num_numbers,
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

    `model` and `data` are their names.
    """
    names = getattr(target, "needs", ())
    if isinstance(names, str):
        raise UserError(f'{target.__qualname__}.needs is {names!r}: wanted is ("{names}",)')
    for name in names:
        if name not in NEEDS:
            raise unknown(f"need of {target.__qualname__}", str(name), NEEDS)
        has, what, typed = NEEDS[name]
        if not has(spec):
            raise UserError(
                f"model={model} cannot do without {what} (batch.{name}), and data={data} comes "
                f"here without: take {typed}"
            )
