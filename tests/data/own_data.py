"""Small folders of one's own, of CSV files or of what PyG saves, and what is read from them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from gbench.data import manage
from gbench.data.dataset import Dataset
from gbench.data.load import load


def read(path: Path) -> Dataset:
    """The dataset in a folder or a file."""
    return load(manage.card_of(str(path)), Path("/nowhere"), path.parent / "cache")


def told(path: Path) -> str:
    """What `gbench data get` prints of it."""
    cards = [manage.card_of(str(path))]
    return "\n".join(manage.get(cards, Path("/nowhere"), path.parent / "cache"))


def tables(folder: Path, **files: str) -> Path:
    """Write tables, given by the names of their files, into a new folder."""
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        with (folder / f"{name}.csv").open("w", newline="") as file:
            file.write(text)
    return folder


def nodes(folder: Path, labels: Sequence[str], head: str = "label") -> Path:
    """A ring of nodes with one feature and these labels, a line of fields each."""
    lines = [f"n{i},{i % 7}.5,{label}\n" for i, label in enumerate(labels)]
    ring = [f"n{i},n{(i + 1) % len(labels)}\n" for i in range(len(labels))]
    text, edges = f"id,f,{head}\n" + "".join(lines), "source,target\n" + "".join(ring)
    return tables(folder, nodes=text, edges=edges)


def ring(n: int) -> Tensor:
    i = torch.arange(n)
    return torch.stack([torch.cat([i, i.roll(1)]), torch.cat([i.roll(1), i])])


def saved(folder: Path, content: Any) -> Path:
    """A folder with one file of PyG's."""
    folder.mkdir(exist_ok=True)
    torch.save(content, folder / "data.pt")
    return folder


def labelled(y: Any, n: int = 30, **more: Any) -> Data:
    """One ring of nodes with labels."""
    return Data(x=torch.linspace(0, 1, 2 * n).view(n, 2), edge_index=ring(n), y=y, **more)
