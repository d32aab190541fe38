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
ORDINARY = (torch.Tensor, torch.nn.Parameter)
PLAIN: dict[str, Callable[..., Any]] = {}  # what each operation is on ordinary CPU tensors


def define(schema: str, fake: Callable[..., Any]) -> Any:
    """Define `schema` and return the operation.

    `fake` gives the outputs' shapes. The CPU and CUDA implementations are the functions of the
    operation's name in gbench/kernels/cpu and gbench/kernels/cuda, in the file named as the
    operation without `_backward`: imported when the first tensor of that device arrives.
    """
    name = schema[: schema.index("(")]
    LIBRARY.define(schema, tags=(torch.Tag.pt2_compliant_tag,))
    on_cpu = _on_first_use("cpu", name)
    LIBRARY.impl(name, on_cpu, "CPU")
    LIBRARY.impl(name, _on_first_use("cuda", name), "CUDA")
    torch.library.register_fake(f"gbench::{name}", fake, lib=LIBRARY)
    dispatched = getattr(torch.ops.gbench, name).default
    PLAIN[name] = on_cpu

    def call(*args: Any) -> Any:
        return PLAIN[name](*args) if _is_plain(args) else dispatched(*args)

    return call


def _is_plain(args: tuple[Any, ...]) -> bool:
    """Whether all tensors are ordinary ones on the CPU, and nobody traces, transforms or profiles.

    Then the dispatcher would find the same functions again: 20 µs per forward and backward.
    """
    if (
        torch.compiler.is_compiling()
        or torch._C._len_torch_dispatch_stack()
        or torch._C._functorch.maybe_current_level() is not None
        or torch._C._autograd._profiler_enabled()
    ):
        return False
    for arg in args:
        if isinstance(arg, torch.Tensor) and not (type(arg) in ORDINARY and arg.is_cpu):
            return False
    return True


def differentiate(
    name: str, save: Callable[..., None], backward: Callable[..., tuple[Any, ...]]
) -> None:
    """Give the operation a gradient: save(ctx, inputs, output), backward(ctx, grad).

    `torch.library.register_autograd` does the same with 25 µs more per forward and backward, which
    is a tenth of a fused layer on a batch of 32 molecules.
    """
    op, on_cpu = getattr(torch.ops.gbench, name).default, PLAIN[name]

    def forward(ctx: Any, *args: Any) -> Any:
        if _is_plain(args):
            output = on_cpu(*args)
        else:
            with torch._C._AutoDispatchBelowAutograd():
                output = op(*args)
        save(ctx, args, output)
        return output

    # A second derivative is an error and not a silent zero.
    refusing = once_differentiable(backward)

    def once(ctx: Any, *grads: Any) -> Any:
        return (refusing if torch.is_grad_enabled() else backward)(ctx, *grads)

    # The public torch.autograd.Function first looks at each argument for torch.func, 1 µs each.
    members = {"forward": staticmethod(forward), "backward": staticmethod(once)}
    function: Any = type(name, (torch.autograd.function._SingleLevelFunction,), members)

    def plain(*args: Any) -> Any:
        return function.apply(*args) if _wants_grad(args) else on_cpu(*args)

    def call(*args: Any) -> Any:
        if _wants_grad(args):
            return function.apply(*args)
        with torch._C._AutoDispatchBelowAutograd():
            return op(*args)

    LIBRARY.impl(name, call, "Autograd")
    PLAIN[name] = plain


def _wants_grad(args: tuple[Any, ...]) -> bool:
    if torch.is_grad_enabled():
        for arg in args:
            if isinstance(arg, torch.Tensor) and arg.requires_grad:
                return True
    return False


def _on_first_use(device: str, name: str) -> Callable[..., Any]:
    implementation: Callable[..., Any] | None = None

    def call(*args: Any) -> Any:
        nonlocal implementation
        if implementation is None:
            try:
                module = import_module(f"gbench.kernels.{device}.{name.removesuffix('_backward')}")
            except ModuleNotFoundError as error:
                if error.name != "triton":
                    raise
                raise RuntimeError(
                    f"gbench.{name} has a tensor on a GPU, for which its kernels need Triton: "
                    "pip install triton (PyTorch for CUDA on Linux brings it), or stay on the CPU"
                ) from None
            implementation = getattr(module, name)
        return implementation(*args)

    return call


def has_kernel(name: str, x: torch.Tensor) -> bool:
    """Whether there is an implementation for the device of x; a composition stands in if not."""
    return not x.is_cuda or has_cuda(name)


@cache
def has_cuda(name: str) -> bool:
    """Whether a CUDA implementation exists."""
    return find_spec(f"gbench.kernels.cuda.{name}") is not None
