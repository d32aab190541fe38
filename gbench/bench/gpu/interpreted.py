"""Run the CUDA kernels on CPU tensors, in Triton's interpreter: set TRITON_INTERPRET=1 before."""

from __future__ import annotations

import ast
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from gbench.bench.gpu.swift import make_swift
from gbench.kernels import library

CUDA = Path(library.__file__).with_name("cuda")


def cuda_operations() -> list[str]:
    """The operations that have a CUDA implementation: a file that defines its own name."""
    return sorted(path.stem for path in CUDA.glob("*.py") if path.stem in _functions(path))


def _functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def interpret() -> None:
    """Let operations on CPU tensors find the Triton kernels where they look for numba's."""
    import numpy
    import triton
    from triton import language
    from triton.runtime import interpreter

    for name in cuda_operations():
        sys.modules[f"gbench.kernels.cpu.{name}"] = import_module(f"gbench.kernels.cuda.{name}")
    # where no Triton kernel is, what a GPU would run stands in
    library.has_kernel = lambda name, x: library.has_cuda(name)

    def wide(handle: Any) -> Any:
        if handle.dtype.scalar != language.bfloat16:
            return handle
        bits = handle.data.astype(numpy.uint32) << 16
        return interpreter.TensorHandle(bits.view(numpy.float32), language.float32)

    def dot(builder: Any, a: Any, b: Any, *rest: Any) -> Any:
        return multiply(builder, wide(a), wide(b), *rest)

    def scalars(tensor: Any, scope: Any) -> None:
        patch(tensor, scope)
        scope.set_attr(tensor, "__index__", lambda self: int(self.handle.data.item()))

    patch = interpreter._patch_lang_tensor
    if triton.__version__.startswith("3.6."):  # takes int(array), which NumPy 2.4 refuses
        interpreter._patch_lang_tensor = scalars

    make_swift(interpreter)

    # The interpreter multiplies the bits of two bfloat16 matrices as if they were integers.
    multiply = interpreter.InterpreterBuilder.create_dot
    interpreter.InterpreterBuilder.create_dot = dot
