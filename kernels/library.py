"""How an operation becomes known to torch, so that eager mode, autograd and torch.compile share it.

No operation computes under autocast: a product inside of one would come out in another dtype than
the code around it asked for, and a kernel that reads a tensor's memory would read other numbers.
`operation` casts what comes from outside, `define` checks what a kernel is about to read.

`torch.library.Library` and not `torch.library.custom_op`: the first call of a custom_op imports
torch._dynamo and sympy (900 modules, seconds), and each later call costs 7 µs more.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from functools import cache, wraps
from importlib import import_module
from importlib.util import find_spec
from typing import Any, TypeVar, cast

import torch
from torch.autograd.function import once_differentiable

from gbench.kernels import torch_private
from gbench.kernels.torch_private import any_autocast, below_autograd

LIBRARY = torch.library.Library("gbench", "DEF")
ORDINARY = (torch.Tensor, torch.nn.Parameter)
# What each operation is on ordinary tensors; its first argument is where they lie.
PLAIN: dict[str, Callable[..., Any]] = {}
FLOATS = (torch.float32, torch.float64, torch.bfloat16)
FULL = FLOATS[:2]  # of operations whose CPU kernels read no bfloat16
GRAPH = ("rowptr", "col", "rowptr_t", "col_t", "perm_t", "reverse")
INTEGERS = {
    *GRAPH,
    "ptr",
    "start",
    "node_ptr",
    "edge_code",
    "codes",
    "offsets",
    "seed",
    "other_seed",
    "rows",
    "steps",
    "y",
    "targets",
    "count",
}

Derived = Callable[[torch.dtype], torch.dtype]  # of one dtype another
Function = TypeVar("Function", bound=Callable[..., Any])


def wide(dtype: torch.dtype) -> torch.dtype:
    """The type that sums are made in: at least float32, for bfloat16 has no 257."""
    return torch.promote_types(dtype, torch.float32)


def double(dtype: torch.dtype) -> torch.dtype:
    """float64, whatever the features are."""
    return torch.float64


def names_of(types: tuple[torch.dtype, ...]) -> str:
    """float32, float64 or bfloat16."""
    *others, last = (str(dtype).removeprefix("torch.") for dtype in types)
    return f"{', '.join(others)} or {last}"


def operation(of: str, types: tuple[torch.dtype, ...] = FLOATS) -> Callable[[Function], Function]:
    """Make a function of tensors compute in the dtype of its argument `of`, autocast or not.

    Under autocast that argument comes in the lower precision and parameters in float32: all are
    cast to its dtype. A dtype that is not among `types` (float16) is computed in float32, and the
    result rounded to it. Without autocast nothing is cast: the function refuses what it must.
    """

    def decorate(function: Function) -> Function:
        place = list(inspect.signature(function).parameters).index(of)

        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            if not any_autocast():
                return function(*args, **kwargs)
            features = args[place] if place < len(args) else kwargs[of]
            if not (_is_under_autocast(features.device.type) and features.is_floating_point()):
                return function(*args, **kwargs)
            dtype = features.dtype if features.dtype in types else torch.float32
            args = tuple(_as(arg, dtype) for arg in args)
            kwargs = {name: _as(arg, dtype) for name, arg in kwargs.items()}
            with torch.autocast(features.device.type, enabled=False):
                out = function(*args, **kwargs)
            if isinstance(out, tuple):
                return tuple(_as(part, features.dtype) for part in out)
            return out if features.dtype is dtype else out.to(features.dtype)

        return cast("Function", call)

    return decorate


def _as(arg: Any, dtype: torch.dtype) -> Any:
    return arg.to(dtype) if isinstance(arg, torch.Tensor) and arg.is_floating_point() else arg


def _is_under_autocast(device: str) -> bool:
    return any_autocast() and device in ("cpu", "cuda") and torch.is_autocast_enabled(device)


def define(
    schema: str,
    fake: Callable[..., Any],
    dtypes: Mapping[str, Derived] | None = None,
    types: tuple[torch.dtype, ...] = FLOATS,
) -> Any:
    """Define `schema` and return the operation.

    `fake` gives the outputs' shapes. The CPU and CUDA implementations are the functions of the
    operation's name in gbench/kernels/cpu and gbench/kernels/cuda, in the file named as the
    operation without `_backward` or the `_` of one that writes to its arguments: imported when the
    first tensor of that device arrives.

    All tensors but the INTEGERS have one dtype, of `types`; `dtypes` names those that have another,
    which it makes of that one. The operation raises TypeError where they do not.
    """
    name = schema[: schema.index("(")]
    LIBRARY.define(schema, tags=(torch.Tag.pt2_compliant_tag,))
    check = _dtype_check(name, _arguments(schema), dtypes or {}, types)
    on = {place: _on_first_use(place, name, check) for place in ("cpu", "cuda")}
    LIBRARY.impl(name, on["cpu"], "CPU")
    LIBRARY.impl(name, on["cuda"], "CUDA")
    torch.library.register_fake(f"gbench::{name}", fake, lib=LIBRARY)
    dispatched = getattr(torch.ops.gbench, name).default
    PLAIN[name] = lambda place, *args: on[place](*args)

    def call(*args: Any) -> Any:
        place = _plain_place(args)
        return dispatched(*args) if place is None else PLAIN[name](place, *args)

    return call


def _plain_place(args: tuple[Any, ...]) -> str | None:
    """Where all tensors lie, cpu or cuda: if they are ordinary and nobody watches, else None.

    Watching is to trace, to transform or to profile. Without it the dispatcher would find the same
    functions again: 20 µs per forward and backward.
    """
    if torch_private.is_watched():
        return None
    place = None
    for arg in args:
        if isinstance(arg, torch.Tensor):
            tensors: tuple[torch.Tensor, ...] = (arg,)
        elif type(arg) is tuple and arg and isinstance(arg[0], torch.Tensor):  # a graph's arrays
            tensors = arg
        else:
            continue
        for tensor in tensors:
            if type(tensor) not in ORDINARY:
                return None
            lies = "cpu" if tensor.is_cpu else "cuda" if tensor.is_cuda else None
            if place is None:
                place = lies
            if lies is None or lies != place:
                return None
    return place


def differentiate(
    name: str, save: Callable[..., None], backward: Callable[..., tuple[Any, ...]]
) -> None:
    """Give the operation a gradient: save(ctx, inputs, output), backward(ctx, grad).

    `torch.library.register_autograd` does the same with 25 µs more per forward and backward, which
    is a tenth of a fused layer on a batch of 32 molecules. It does it where torch_private.py finds
    no shortcut.

    `backward` is called where some output has a gradient; another output's may be None.
    """
    op, below = getattr(torch.ops.gbench, name).default, PLAIN[name]

    def keep(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.set_materialize_grads(False)  # else outputs without a gradient get one of zeros
        save(ctx, inputs, output)

    def forward(ctx: Any, *args: Any) -> Any:
        with below_autograd():
            output = op(*args)
        keep(ctx, args, output)
        return output

    def forward_on(place: str) -> Callable[..., Any]:
        def forward(ctx: Any, *args: Any) -> Any:
            output = below(place, *args)
            keep(ctx, args, output)
            return output

        return forward

    # A second derivative is an error and not a silent zero.
    refusing = once_differentiable(backward)

    def once(ctx: Any, *grads: Any) -> Any:
        given = next((grad for grad in grads if grad is not None), None)
        if given is None:
            return (None,) * len(ctx.needs_input_grad)
        formula = refusing if torch.is_grad_enabled() else backward
        device = given.device.type
        if _is_under_autocast(device):  # backward() was called under it
            with torch.autocast(device, enabled=False):
                return formula(ctx, *grads)
        return formula(ctx, *grads)

    if not torch_private.SHORTCUTS:
        torch.library.register_autograd(op, _with_lists(once), setup_context=keep, lib=LIBRARY)
        return

    def function_of(forward: Callable[..., Any]) -> Any:
        members = {"forward": staticmethod(forward), "backward": staticmethod(once)}
        return type(name, (torch_private.Function,), members)

    function = function_of(forward)
    ordinary = {place: function_of(forward_on(place)) for place in ("cpu", "cuda")}

    def plain(place: str, *args: Any) -> Any:
        return ordinary[place].apply(*args) if _wants_grad(args) else below(place, *args)

    def call(*args: Any) -> Any:
        if _wants_grad(args):
            return function.apply(*args)
        with below_autograd():
            return op(*args)

    LIBRARY.impl(name, call, "Autograd")
    PLAIN[name] = plain


def _with_lists(backward: Callable[..., Any]) -> Callable[..., Any]:
    """What `register_autograd` wants: for each list that was given a list as long, of None here."""

    def listed(ctx: Any, *grads: Any) -> Any:
        found = backward(ctx, *grads)
        if not isinstance(found, tuple):  # once_differentiable unpacks a single gradient
            found = (found,)
        return tuple(
            [None] * len(needs) if isinstance(needs, list) else grad
            for grad, needs in zip(found, ctx.needs_input_grad, strict=True)
        )

    return listed


def _wants_grad(args: tuple[Any, ...]) -> bool:
    if torch.is_grad_enabled():
        for arg in args:
            if isinstance(arg, torch.Tensor) and arg.requires_grad:
                return True
    return False


def _arguments(schema: str) -> list[tuple[str, str]]:
    """The type and the name of each argument."""
    inside = schema[schema.index("(") + 1 : schema.index(") ->")]
    inside = re.sub(r"\(\w!\)", "", inside)  # the mark of what is written to
    kinds = (argument.partition(" ") for argument in inside.split(", "))
    return [(kind, argument) for kind, _, argument in kinds]


def _dtype_check(
    name: str,
    arguments: list[tuple[str, str]],
    dtypes: Mapping[str, Derived],
    types: tuple[torch.dtype, ...],
) -> Callable[[tuple[Any, ...]], None]:
    """The check that `define` promises, of an operation's arguments."""
    floats = [
        (place, argument)
        for place, (kind, argument) in enumerate(arguments)
        if kind in ("Tensor", "Tensor?") and argument not in INTEGERS
    ]
    base, base_name = next(pair for pair in floats if pair[1] not in dtypes)
    rules = [(place, arg, dtypes.get(arg)) for place, arg in floats if place != base]

    def check(args: tuple[Any, ...]) -> None:
        dtype = args[base].dtype
        if dtype not in types:
            raise TypeError(f"gbench.{name}: {base_name} is {dtype}: pass {names_of(types)}")
        for place, arg, other in rules:
            if (tensor := args[place]) is not None:
                wanted = dtype if other is None else other(dtype)
                if tensor.dtype is not wanted:
                    raise TypeError(
                        f"gbench.{name}: {arg} is {tensor.dtype} beside {base_name} of {dtype}: "
                        f"pass {wanted}"
                    )

    return check


def file_of(name: str) -> str:
    """The file that implements the operation `name`, in the folder of each device."""
    return name.removesuffix("_backward").rstrip("_")


def _on_first_use(
    device: str, name: str, check: Callable[[tuple[Any, ...]], None]
) -> Callable[..., Any]:
    implementation: Callable[..., Any] | None = None
    file = file_of(name)

    def call(*args: Any) -> Any:
        nonlocal implementation
        if implementation is None:
            try:
                module = import_module(f"gbench.kernels.{device}.{file}")
            except ModuleNotFoundError as error:
                if error.name != "triton":
                    raise
                raise RuntimeError(
                    f"gbench.{name} has a tensor on a GPU, for which its kernels need Triton: "
                    "pip install triton (PyTorch for CUDA on Linux brings it), or stay on the CPU"
                ) from None
            implementation = getattr(module, name)
        check(args)
        if _is_under_autocast(device):
            with torch.autocast(device, enabled=False):
                return implementation(*args)
        return implementation(*args)

    return call


def has_kernel(name: str, x: torch.Tensor) -> bool:
    """Whether there is an implementation for the device of x; a composition stands in if not."""
    return has_cuda(name) if x.is_cuda else has_cpu(name)


@cache
def has_cuda(name: str) -> bool:
    """Whether a CUDA implementation exists."""
    return find_spec(f"gbench.kernels.cuda.{name}") is not None


@cache
def has_cpu(name: str) -> bool:
    """Whether one for the CPU exists."""
    return find_spec(f"gbench.kernels.cpu.{name}") is not None
