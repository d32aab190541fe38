"""Every operation, for every mixture of dtypes, under autocast and not: right, or a TypeError."""

import importlib.util
import itertools
import pkgutil
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import gbench.kernels
from gbench.kernels import library

FLOATS = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
# Largest allowed error of what was computed in a dtype, as a part of the largest value.
TOLERANCE = {torch.float64: 1e-12, torch.float32: 4e-6, torch.float16: 3e-3, torch.bfloat16: 2.5e-2}


def values(call, there, inputs, under, backward_under) -> list[Tensor]:
    """The output and the gradients of all inputs."""
    leaves = [x.detach().requires_grad_() for x in inputs]
    torch.manual_seed(0)
    with under:
        out = call(there, *leaves)
    grad = torch.randint(-4, 5, out.shape, generator=torch.Generator().manual_seed(1)) / 4
    with backward_under:
        return [out.detach(), *torch.autograd.grad(out, leaves, grad.to(out.dtype))]


def assert_right(found: list[Tensor], exact: list[Tensor], dtypes, backward) -> None:
    """Within the rounding of the coarsest dtype; gradients have their inputs'.

    `backward`: the dtype that torch's own operations have in a backward under autocast.
    """
    assert [grad.dtype for grad in found[1:]] == list(dtypes)
    for n, (ours, wanted) in enumerate(zip(found, exact, strict=True)):
        tolerance = max(TOLERANCE[dtype] for dtype in (*dtypes, *(backward if n else ())))
        scale = max(1.0, float(wanted.abs().max()))
        torch.testing.assert_close(ours.double(), wanted, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("lower", [None, torch.bfloat16, torch.float16], ids=str)
def test_every_mixture_is_right_or_refused(operation, lower) -> None:
    there = operation.on("cpu")
    none = nullcontext()
    exact = values(operation.reference, there, operation.inputs, none, none)
    under = torch.autocast("cpu", lower) if lower else none
    floats = FLOATS if len(operation.inputs) < 4 else FLOATS[1:]  # 256 mixtures take seconds
    backward_modes = {under, none} if lower is torch.bfloat16 else {none}
    for dtypes in itertools.product(floats, repeat=len(operation.inputs)):
        if len(dtypes) > 4 and len(set(dtypes)) > 2:
            continue  # each pair of dtypes meets in each pair of places, in 189 mixtures of 729
        inputs = [x.to(dtype) for x, dtype in zip(operation.inputs, dtypes, strict=True)]
        for backward_under in backward_modes:
            try:
                found = values(operation.function, there, inputs, under, backward_under)
            except TypeError as error:
                assert lower is None, dtypes
                assert len(set(dtypes)) > 1 or dtypes[0] in (torch.float16, torch.bfloat16)
                assert any(str(dtype) in str(error) for dtype in dtypes)
            else:
                assert_right(found, exact, dtypes, [lower] if backward_under is not none else [])


def _is_of_cpu(name: str) -> bool:
    """Whether the operation has a kernel of its own there, where others are compositions."""
    file = name.removesuffix("_backward").removesuffix("_")
    return importlib.util.find_spec(f"gbench.kernels.cpu.{file}") is not None


def test_no_kernel_reads_a_tensor_of_another_dtype(operations) -> None:
    """Whatever is defined, forward and backward, with another dtype in the place of each tensor."""
    calls: dict[str, tuple[Any, tuple[Any, ...]]] = {}

    class Record(TorchDispatchMode):
        def __torch_dispatch__(self, op, types, args=(), kwargs=None):
            if op.namespace == "gbench":
                calls.setdefault(op._opname, (op, args))
            return op(*args, **(kwargs or {}))

    none = nullcontext()
    with Record():
        for each in operations:
            values(each.function, each.on("cpu"), each.inputs, none, none)
    for module in pkgutil.iter_modules(gbench.kernels.__path__, "gbench.kernels."):
        importlib.import_module(module.name)
    on_cpu = {name for name in library.PLAIN if _is_of_cpu(name)}
    assert set(calls) == on_cpu  # else operations.py lacks a new one
    for op, args in calls.values():
        args = tuple(a.detach() if isinstance(a, Tensor) else a for a in args)
        floats = [k for k, a in enumerate(args) if getattr(a, "dtype", None) is torch.float64]
        for place, dtype in itertools.product(floats, (*FLOATS, torch.int32)):
            if op._schema.arguments[place].name == "y" and dtype is torch.int32:
                continue  # labels may be whole numbers, but then none is missing
            other = (*args[:place], args[place].to(dtype), *args[place + 1 :])
            try:
                found = tree_leaves(op(*other))
            except TypeError as error:
                assert f"gbench.{op._opname}: " in str(error)
            else:
                for ours, wanted in zip(found, tree_leaves(op(*args)), strict=True):
                    torch.testing.assert_close(ours.double(), wanted, rtol=0, atol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", [torch.float16, torch.int32, torch.complex64], ids=str)
def test_a_dtype_without_a_kernel_is_refused(operation, dtype) -> None:
    inputs = [x.to(dtype) for x in operation.inputs]
    with pytest.raises(TypeError, match=f"is {dtype}: pass float32"):
        operation.function(operation.on("cpu"), *inputs)


def test_compiles_under_autocast(operation) -> None:
    """In one graph, to the values of eager mode."""
    there = operation.on("cpu")
    first, *others = operation.inputs
    inputs = [first.bfloat16(), *(x.float() for x in others)]
    under, none = torch.autocast("cpu", torch.bfloat16), nullcontext()
    expected = values(operation.function, there, inputs, under, none)
    torch.compiler.reset()
    compiled = torch.compile(operation.function, fullgraph=True, backend="eager")
    found = values(compiled, there, inputs, under, none)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_an_overflow_in_float16_reaches_every_gradient(operation) -> None:
    """GradScaler leaves a step out where a gradient is inf or NaN, as it then has to be."""
    leaves = [x.float().requires_grad_() for x in operation.inputs]
    leaves[0] = leaves[0].detach().half().requires_grad_()
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.float16):
        out = operation.function(operation.on("cpu"), *leaves)
    grads = torch.autograd.grad(out, leaves, torch.full_like(out, torch.inf))
    assert all(not grad.isfinite().all() for grad in grads)


def test_a_value_beyond_float16_is_infinite_and_no_other_number(operation) -> None:
    """What is computed in float32 is rounded as torch rounds: 65520 and more to inf."""
    first, *others = (x.float() for x in operation.inputs)
    torch.manual_seed(0)
    wide = operation.function(operation.on("cpu"), first.half().float(), *others)
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.float16):
        out = operation.function(operation.on("cpu"), first.half(), *others)
    assert torch.equal(out, wide.to(out.dtype))
