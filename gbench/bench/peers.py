"""What several operations' peers are made of: other packages' layouts of the same graph.

A function here raises ImportError where its package is not installed, and the peer is then shown
as such. Edges are handed over sorted by target, and what a package can keep from call to call is
made once, outside the measurement.
"""

from __future__ import annotations

import os
import shutil
import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from torch import Tensor

from gbench.bench.case import Arm
from gbench.kernels import CSR
from gbench.kernels.csr import INT32_MAX
from gbench.offline_ogb import offline_ogb

PACKAGES = ("dgl", "torch-scatter", "turbo-gnn")  # the extra `peers`


def versions() -> dict[str, str]:
    """The versions of the optional packages that are installed."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def inductor(arm: Arm, device: torch.device) -> Arm:
    """The arm compiled by torch.compile; on the CPU that takes a C++ compiler."""
    compilers = ("cc", "gcc", "clang") if device.type == "cuda" else ("g++", "clang++", "c++")
    if sys.platform == "win32" or not any(map(shutil.which, compilers)):
        raise ImportError("torch.compile needs a C++ compiler")
    # A recompilation for each case is wanted here: they share the code but not the shapes.
    torch.compiler.reset()
    return Arm(torch.compile(arm.call, dynamic=False), arm.leaves)


def csr_matrix(graph: CSR, weight: Tensor) -> Tensor:
    """The graph as torch's sparse matrix, with 32-bit indices, which its products take directly.

    From 46,341 nodes on they are 64-bit: torch.sparse.mm(reduce) of torch 2.13 multiplies two of
    them in its backward without noticing that the product does not fit.
    """
    size = (graph.num_rows, graph.num_cols)
    index = torch.int32 if graph.num_rows * graph.num_cols <= INT32_MAX else torch.int64
    rowptr, col = graph.rowptr.to(index), graph.col.to(index)
    return torch.sparse_csr_tensor(rowptr, col, weight, size, check_invariants=False)


def edge_index(graph: CSR) -> Any:
    """PyG's EdgeIndex with all its caches filled."""
    from torch_geometric import EdgeIndex

    index = EdgeIndex(
        graph.edge_index, sparse_size=(graph.num_cols, graph.num_rows), sort_order="col"
    )
    return index.fill_cache_()


def dgl() -> Any:
    """The package, which asks for a backend and writes it to the user's home unless told."""
    os.environ.setdefault("DGLBACKEND", "pytorch")
    return import_module("dgl")


def dgl_graph(graph: CSR) -> Any:
    """DGL's graph with all its sparse formats made."""
    package = dgl()
    source, target = graph.edge_index
    try:
        made = package.graph((source, target), num_nodes=graph.num_rows)
    except package.DGLError as error:
        raise ImportError(f"this DGL cannot use a {graph.device.type} device") from error
    made.create_formats_()
    return made


def ogb_encoders() -> Any:
    """OGB's module of atom and bond encoders."""
    return offline_ogb("graphproppred.mol_encoder")


def embedding_weights(encoder: Any, table: Tensor) -> tuple[Tensor, ...]:
    """Give an OGB encoder's embeddings the rows of one table, and return them."""
    (embeddings,) = encoder.children()
    weights = tuple(embedding.weight for embedding in embeddings)
    with torch.no_grad():
        for weight, part in zip(weights, table.split([len(w) for w in weights]), strict=True):
            weight.copy_(part)
    return weights
