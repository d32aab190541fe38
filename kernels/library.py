"""How an operation becomes known to torch, so that eager mode, autograd and torch.compile share it.

`torch.library.Library` and not `torch.library.custom_op`: the first call of a custom_op imports
torch._dynamo and sympy (900 modules, seconds), and each later call costs 7 µs more.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch.autograd.function import once_differentiable

LIBRARY = torch.library.Library("gbench", "DEF")


def define(schema: str, fake: Callable[..., Any]) -> Any:
    """Define `schema` and return the operation.

    `fake` gives the outputs' shapes. The CPU and CUDA implementations are the functions of the
    operation's name in gbench/kernels/cpu and gbench/kernels/cuda, in the file named as the
    operation without `_backward`: imported when the first tensor of that device arrives.
    """
    name = schema[: schema.index("(")]
    LIBRARY.define(schema, tags=(torch.Tag.pt2_compliant_tag,))
    LIBRARY.impl(name, _on_first_use("cpu", name), "CPU")
    LIBRARY.impl(name, _on_first_use("cuda", name), "CUDA")
    torch.library.register_fake(f"gbench::{name}", fake, lib=LIBRARY)
    return getattr(torch.ops.gbench, name).default


def differentiate(
    name: str, save: Callable[..., None], backward: Callable[..., tuple[Any, ...]]
) -> None:
    """Give the operation a gradient: save(ctx, inputs, output), backward(ctx, grad).

    `torch.library.register_autograd` does the same with 25 µs more per forward and backward, which
    is a tenth of a fused layer on a batch of 32 molecules.
    """
    op = getattr(torch.ops.gbench, name).default

    def forward(ctx: Any, *args: Any) -> Any:
        with torch._C._AutoDispatchBelowAutograd():
            output = op(*args)
        save(ctx, args, output)
        return output

    members = {
        "forward": staticmethod(forward),
        # A second derivative is an error and not a silent zero.
        "backward": staticmethod(once_differentiable(backward)),
    }
    function: Any = type(name, (torch.autograd.Function,), members)

    def call(*args: Any) -> Any:
        if torch.is_grad_enabled() and any(
            isinstance(arg, torch.Tensor) and arg.requires_grad for arg in args
        ):
            return function.apply(*args)
        with torch._C._AutoDispatchBelowAutograd():
            return op(*args)

    LIBRARY.impl(name, call, "Autograd")


def _on_first_use(device: str, name: str) -> Callable[..., Any]:
    implementation: Callable[..., Any] | None = None

    def call(*args: Any) -> Any:
        nonlocal implementation
        if implementation is None:
            module = import_module(f"gbench.kernels.{device}.{name.removesuffix('_backward')}")
            implementation = getattr(module, name)
        return implementation(*args)

    return call


@cache
def has_cuda(name: str) -> bool:
    """Whether a CUDA implementation exists; the reference stands in where none does."""
    return find_spec(f"gbench.kernels.cuda.{name}") is not None
