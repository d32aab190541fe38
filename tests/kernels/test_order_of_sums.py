"""No CUDA kernel adds in an order that the GPU chooses: the same seed gives the same bits.

In what order programs run changes nothing either: see test_triton_values.py.
"""

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import gbench.kernels
from gbench.kernels import library

FOLDER = Path(gbench.kernels.__file__).parent

# of torch.use_deterministic_algorithms' list, in place and not
DISORDERED = {"index_add", "scatter_add", "scatter_reduce", "scatter", "index_reduce", "index_put"}
DISORDERED |= {"histc", "bincount", "embedding_bag", "scaled_dot_product_attention"}


def names(source: str) -> Iterator[str]:
    """Every name and attribute that a source reads."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Name):
            yield node.id


def test_no_cuda_kernel_adds_atomically_or_asks_torch_to() -> None:
    files = sorted((FOLDER / "cuda").glob("*.py"))
    assert files
    for file in files:
        found = {name.rstrip("_") for name in names(file.read_text())}
        if file.stem != "together":  # which counts programs, and integers have one sum
            assert not {name for name in found if name.startswith("atomic")}, file.name
        assert not found & DISORDERED, file.name


def test_what_stands_in_for_a_missing_cuda_kernel_adds_in_order_too() -> None:
    for module in pkgutil.iter_modules(gbench.kernels.__path__, "gbench.kernels."):
        importlib.import_module(module.name)
    for operation in library.PLAIN:
        name = library.file_of(operation)
        if not library.has_cuda(name):
            module = importlib.import_module(f"gbench.kernels.{name}")
            found = {name.rstrip("_") for name in names(inspect.getsource(getattr(module, name)))}
            assert not found & {"reference", *DISORDERED}, operation
