"""The graphs that are measured on, by name. Real molecules where they are at hand, else drawn ones.

Legend: N nodes, E entries.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from gbench.data.batch import Batch
from gbench.data.dataset import Dataset
from gbench.data.loaders.ogb import ATOM_CATEGORIES, BOND_CATEGORIES
from gbench.data.source import Graph
from gbench.data.store import GraphStore, pack
from gbench.kernels import CSR


@dataclass(frozen=True)
class Workload:
    """A graph under the name that rows show.

    `is_local`: neighbours lie so close together that a row of x is fetched from memory once and
    then read from cache, as in a batch of molecules. Elsewhere each entry fetches its row.
    """

    name: str
    graph: CSR
    is_local: bool = False
    batch: Batch | None = None

    def rows_read(self) -> int:
        """How many rows of x have to come from memory."""
        return self.graph.num_cols if self.is_local else self.graph.num_entries

    @property
    def molecules(self) -> Batch:
        """The batch, where the workload is one."""
        assert self.batch is not None
        return self.batch


@cache
def molecules() -> tuple[str, GraphStore, Tensor]:
    """The name, the packed graphs and the training graphs' ids of ogbg-molhiv, or of a likeness.

    Nothing is downloaded for a measurement.
    """
    published = _published()
    if published is None:
        graphs = drawn_molecules(2048)
        return "molhiv-like", pack(graphs), torch.arange(len(graphs))
    return "molhiv", published.store, published.split.train


def _published() -> Dataset | None:
    """The dataset where its files are at hand, with the packages that find and read them."""
    try:
        from gbench import folders
        from gbench.data import manage
        from gbench.data.files import named
        from gbench.data.load import load

        card, data_dir = manage.card_of("ogbg-molhiv"), folders.data_dir()
        if named.state(card, data_dir) is None:
            return None
        return load(card, data_dir, folders.cache_dir())
    except ModuleNotFoundError:  # a checkout that is not installed
        return None


def drawn_molecules(count: int) -> list[Graph]:
    """Graphs with molhiv's sizes: 25.5 ± 12 atoms and two bonds more, chains with branches, rings.

    An atom hangs on one of the three before it, which leaves the neighbours as close as in the
    published files; a ring closes six atoms on, which no such bond does. Categories are drawn with
    the first ones most frequent, as carbon and the single bond are.
    """
    generator = torch.Generator().manual_seed(0)
    graphs = []
    for _ in range(count):
        size = int(torch.randn((), generator=generator).mul(12).add(25.5).clamp(4, 120))
        atom = torch.arange(1, size)
        back = 1 + (torch.rand(size - 1, generator=generator) ** 3 * 3).long()
        ring = torch.randint(5, max(size, 6), (3,), generator=generator).unique()
        ring = ring[ring < size]
        bonds = torch.stack(
            [torch.cat([atom, ring]), torch.cat([(atom - back).clamp(min=0), ring - 5])]
        )
        kinds = _categories(bonds.size(1), BOND_CATEGORIES, generator)
        graphs.append(
            Graph(
                _categories(size, ATOM_CATEGORIES, generator),
                torch.cat([bonds, bonds.flip(0)], dim=1),
                torch.randint(0, 2, (1, 1), generator=generator).float(),
                torch.cat([kinds, kinds]),
            )
        )
    return graphs


def _categories(rows: int, categories: tuple[int, ...], generator: torch.Generator) -> Tensor:
    skewed = torch.rand(rows, len(categories), generator=generator) ** 4
    return (skewed * torch.tensor(categories)).to(torch.uint8)


def _molecule_batch(size: int, device: torch.device) -> Workload:
    name, store, train = molecules()
    picks = torch.randperm(train.numel(), generator=torch.Generator().manual_seed(0))[:size]
    batch = store.to(device).batch(train[picks])
    return Workload(f"{name}-{size}", batch.graph, is_local=True, batch=batch)


def power_law(num_nodes: int, num_edges: int, exponent: float, device: torch.device) -> CSR:
    """An undirected graph whose i-th node has a degree in proportion to i^-exponent, shuffled.

    The largest degree is about num_edges · (1 - exponent) · num_nodes^(exponent - 1); an edge drawn
    twice counts once.
    """
    generator = torch.Generator(device).manual_seed(0)
    weight = torch.arange(1, num_nodes + 1, dtype=torch.float64, device=device).pow(-exponent)
    position = weight.cumsum(0)
    drawn = torch.rand(num_edges, dtype=torch.float64, generator=generator, device=device)
    ends = torch.searchsorted(position, drawn * position[-1]).clamp_(max=num_nodes - 1)
    ends = torch.randperm(num_nodes, generator=generator, device=device)[ends]
    source, target = ends.view(2, -1)
    both = torch.cat([source * num_nodes + target, target * num_nodes + source])
    both = both.unique()
    edge_index = torch.stack([both % num_nodes, both // num_nodes])
    return CSR.from_edge_index(edge_index, num_nodes)[0]


def sparse_features(rows: int, columns: int, entries: int, device: torch.device) -> CSR:
    """The pattern of a bag of words: column j in proportion to (j + 1)^-0.6, an entry once."""
    generator = torch.Generator(device).manual_seed(0)
    position = torch.arange(1, columns + 1, dtype=torch.float64, device=device).pow(-0.6).cumsum(0)
    drawn = torch.rand(entries, dtype=torch.float64, generator=generator, device=device)
    column = torch.searchsorted(position, drawn * position[-1]).clamp_(max=columns - 1)
    row = torch.randint(rows, (entries,), generator=generator, device=device)
    both = (row * columns + column).unique()
    return CSR.from_edge_index(torch.stack([both % columns, both // columns]), rows, columns)[0]


def _drawn(name: str, sizes: tuple[int, int, float], device: torch.device) -> Workload:
    return Workload(name, power_law(*sizes, device))


# Nodes, entries drawn (a few coincide), and the exponent; the largest degree that comes of them is
# the published one, in brackets.
DRAWN = {
    "cora-sized": (2_708, 10_700, 0.60),  # (168)
    "coauthor-sized": (18_333, 163_788, 0.31),  # Coauthor CS (136)
    "chameleon-sized": (2_277, 65_700, 0.555),  # (732)
    "texas-sized": (183, 590, 0.8),  # without its hub of 104
    "power-law-100k": (100_000, 1_003_000, 0.61),  # (4,000)
    "arxiv-profile": (169_343, 2_350_000, 0.68),  # ogbn-arxiv, symmetrised (13,161)
    "products-profile": (2_449_029, 123_718_280, 0.44),  # ogbn-products (17,481)
}
MOLECULES = {"molhiv-32": 32, "molhiv-512": 512}
FEATURES = "cora-features"
NAMES = (*MOLECULES, *DRAWN, FEATURES)
LARGE = ("power-law-100k", "arxiv-profile", "products-profile")  # left out of a quick look
CUDA_ONLY = ("products-profile",)


def make(name: str, device: torch.device) -> Workload:
    """The workload of this name on a device."""
    if name in MOLECULES:
        return _molecule_batch(MOLECULES[name], device)
    if name == FEATURES:
        return Workload(name, sparse_features(2_708, 1_433, 50_000, device))
    return _drawn(name, DRAWN[name], device)


def tiny(name: str, device: torch.device) -> Workload:
    """A graph of a few dozen nodes of the kind of the named one."""
    if name in MOLECULES:
        batch = pack(drawn_molecules(6)).to(device).batch(torch.arange(6))
        return Workload(f"tiny {name}", batch.graph, is_local=True, batch=batch)
    return Workload(f"tiny {name}", power_law(70, 400, 0.5, device))
