"""What one training step starts on CUDA, counted on any machine: no GPU is needed.

    python scripts/count_launches.py [--json FILE] [--ops] [STEP ...]
    python scripts/count_launches.py --epoch    # GIN, molhiv, 32: when the variants are compiled

Lightning trains as `gbench train` makes it train, on the device of fake_cuda.py. A step is all that
happens between a batch and the next: encoder, loss, backward, optimizer, Lightning's closure and
the epoch's running sum; the end of an epoch is beside it. Data are drawn, of the sizes of the real
ones, so that every machine counts the same. A row:

    launches   of one step, kernels and copies; of Triton and of ATen in brackets
    waits      operations of a step for which the host waits for the device, with their lines
    variants   what Triton had compiled by the end of the third step
    host_ms    CPU time of a step on this machine when launches cost nothing and tensors are tiny

Beside a step there are the launches of cutting a batch (per batch) and of validation (per epoch).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import fake_cuda
import numpy as np
import torch
from fake_cuda import DEVICE, NOTES, on_fake_cuda
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.strategies import SingleDeviceStrategy
from rich.console import Console
from rich.table import Table
from torch import Tensor

from gbench import build
from gbench.bench.workloads import drawn_molecules
from gbench.choices import choices, read_yaml, stated
from gbench.config import compose
from gbench.config.floors import networks
from gbench.contracts import tiny
from gbench.data.dataset import Dataset
from gbench.data.loaders import ogb, zinc
from gbench.data.patches import metis
from gbench.data.patches.patch_set import Patches, Patching
from gbench.data.patches.patching import cut, ready
from gbench.data.source import Graph, Split
from gbench.data.spec import DataCard, DataSpec
from gbench.data.store import pack
from gbench.errors import UserError
from gbench.kernels import library
from gbench.locate import locate
from gbench.quiet import silence
from gbench.train import loader
from gbench.train import trainer as gbench_trainer
from gbench.train.epochs import Epochs
from gbench.train.progress import Display
from gbench.train.rounds import Rounds
from gbench.train.sources import Share
from gbench.train.task import Task
from gbench.train.trainer import make_trainer

STEPS_TAKEN = 3  # the first ones derive what later ones keep
MOLECULES = 32_901  # that an epoch of molhiv trains on


# --- data of the sizes of the real ones --------------------------------------------------------


def dataset(card: DataCard, spec: DataSpec, graphs: Sequence[Graph], split: Split) -> Dataset:
    """The graphs as the dataset of this card."""
    store = pack(graphs, spec.level)
    return Dataset(card, spec, store, split, f"drawn {store.num_nodes} {store.num_edges}", {})


def words(nodes: int, features: int, non_zeros: int, generator: torch.Generator) -> Tensor:
    """A bag of words: rows of mostly zeros that sum to 1. Shapes: (nodes, features)."""
    x = torch.zeros(nodes * features)
    x[torch.randperm(nodes * features, generator=generator)[:non_zeros]] = 1.0
    x = x.view(nodes, features)
    return x / x.sum(1, keepdim=True).clamp(min=1)


def cora(card: DataCard, scale: float = 1.0) -> Dataset:
    """2,708 papers, 5,278 citations in both directions, one node with 168 of them, 7 classes."""
    generator = torch.Generator().manual_seed(0)
    nodes, edges, features = (int(scale * size) for size in (2708, 5278, 1433))
    ends = torch.randint(1, nodes, (2, edges), generator=generator)
    ends[0, :168] = 0
    ends[1, :168] = torch.arange(1, nodes)[:168].repeat(168)[:168]
    x = words(nodes, features, int(0.0127 * nodes * features), generator)
    y = torch.arange(nodes) % 7
    order = torch.randperm(nodes, generator=generator)
    parts = [int(size * scale) for size in (140, 500, 1000)]
    split = Split(*order[: sum(parts)].split(parts))
    graph = Graph(x, torch.cat([ends, ends.flip(0)], 1), y)
    return dataset(card, DataSpec("node", 7, features), [graph], split)


def texas(card: DataCard, scale: float = 1.0) -> Dataset:
    """183 pages, 325 links in one direction, one page with 104 of them, 5 classes."""
    generator = torch.Generator().manual_seed(0)
    nodes, edges, features = (int(scale * size) for size in (183, 325, 1703))
    ends = torch.randint(0, nodes, (2, edges), generator=generator)
    ends[0, : edges // 3] = 0
    x = words(nodes, features, int(0.049 * nodes * features), generator)
    y = torch.arange(nodes) % 5
    order = torch.randperm(nodes, generator=generator)
    parts = [int(0.48 * nodes), int(0.32 * nodes)]
    split = Split(*order.split([*parts, nodes - sum(parts)]))
    return dataset(card, DataSpec("node", 5, features), [Graph(x, ends, y)], split)


def molhiv(card: DataCard, scale: float = 1.0, count: int = 384) -> Dataset:
    """Molecules of molhiv's sizes, `count` of them in training."""
    return molecules(card, drawn_molecules(count + 64), ogb.ATOM_CATEGORIES, ogb.BOND_CATEGORIES)


def zinc_like(card: DataCard, scale: float = 1.0) -> Dataset:
    """Molecules of ZINC's sizes: 23 atoms of 28 kinds, bonds of 4, one number to predict."""
    generator = torch.Generator().manual_seed(1)

    def narrowed(graph: Graph) -> Graph:
        size = min(graph.x.size(0), 37)
        atoms = torch.randint(zinc.ATOMS, (size, 1), generator=generator)
        kept = (graph.edge_index < size).all(0)
        kinds = graph.edge_attr[kept, :1] % zinc.BONDS
        return Graph(atoms, graph.edge_index[:, kept], torch.randn(1, 1), kinds)

    drawn = [narrowed(graph) for graph in drawn_molecules(448)]
    return molecules(card, drawn, (zinc.ATOMS,), (zinc.BONDS,))


def molecules(
    card: DataCard, graphs: Sequence[Graph], atoms: tuple[int, ...], bonds: tuple[int, ...]
) -> Dataset:
    """The graphs, the last 64 of them for validation and for test."""
    split = Split(*torch.arange(len(graphs)).split([len(graphs) - 64, 32, 32]))
    spec = DataSpec("graph", 1, len(atoms), atoms, bonds)
    return dataset(card, spec, graphs, split)


class Blocks:
    """Cuts a graph into patches of consecutive nodes, which in a drawn molecule are neighbours."""

    def __init__(self, data: Dataset, patching: Patching, _: Path) -> None:
        union, node_ptr = data.store.union()
        arrays = (node_ptr.long(), union.rowptr.long(), data.store.col)
        self.graphs = metis.Graphs(*(array.numpy() for array in arrays))
        self.patching = patching

    def evaluation(self, chunks: Sequence[Tensor]) -> Iterator[Patches]:
        """The patches of each chunk of graph ids."""
        count = self.patching.num_patches
        for ids in chunks:
            sizes = np.diff(self.graphs.node_ptr)[ids.numpy()]
            part = np.concatenate([np.arange(n) * count // max(n, count) for n in sizes])
            part = part.astype(np.int16)
            yield ready(cut(self.graphs, ids.numpy(), part, self.patching))

    def training(self, chunks_of: Callable[[int], Sequence[Tensor]], **_: Any) -> Any:
        """The same."""

        class Epoch:
            def epoch(_, number: int) -> Iterator[Patches]:
                return self.evaluation(chunks_of(number))

        return Epoch()


# --- steps -------------------------------------------------------------------------------------

Data = Callable[[DataCard, float], Dataset]


@dataclass(frozen=True)
class Step:
    """The words of a run, its drawn data, and what makes it tiny for `host_ms`."""

    words: tuple[str, ...]
    data: Data
    tiny: tuple[str, ...] = ()


STEPS = {
    "gin-molhiv-32": Step(
        ("model=gin", "data=ogbg-molhiv", "optim.batch_size=32"),
        molhiv,
        ("model.hidden_dim=16", "optim.batch_size=2"),
    ),
    "gcn-cora": Step(("model=gcn", "data=cora"), cora),
    "sgc-cora": Step(("model=sgc", "data=cora"), cora),
    "dagnn-cora": Step(("model=dagnn", "data=cora"), cora),
    "gat-cora": Step(("model=gat", "data=cora"), cora),
    "diag-nsd-texas": Step(("experiment=diag-nsd-texas",), texas),
    "od-nsd-texas": Step(("experiment=od-nsd-texas",), texas),
    "gen-nsd-texas": Step(("experiment=gen-nsd-texas",), texas),
    "graph-mlp-mixer-zinc-32": Step(
        ("experiment=graph-mlp-mixer-zinc", "optim.batch_size=32"),
        zinc_like,
        ("model.hidden_dim=16", "optim.batch_size=2"),
    ),
}


@cache
def composed(*words: str) -> dict[str, Any]:
    """The config of a run."""
    return compose.compose([*words, "trainer.max_epochs=5", "optim.warmup_epochs=0"])


def task_of(
    config: dict[str, Any], data: Data | None, scale: float = 1.0
) -> tuple[Task, dict[str, Any]]:
    """The task of a run on drawn data, or with None on its own; what needs a teacher has one."""
    config = deepcopy(config)
    is_taught = "teacher" in getattr(locate(config["model"]["_target_"]), "needs", ())
    config["trainer"] |= {"cuda_graphs": "off"} if "cuda_graphs" in config["trainer"] else {}

    def load(card: DataCard, *_: Any) -> Dataset:
        assert data is not None
        found = data(card, scale)
        return taught(found) if is_taught else found

    def patched(found: Dataset, patching: Patching, cache: Path) -> Dataset:
        return replace(found, patcher=Blocks(found, patching, cache))

    if data is None:
        return begun(build.build_task(config)), config
    with (
        tempfile.TemporaryDirectory() as cache,
        mock.patch.object(build, "load", load),
        mock.patch.object(build, "patched", patched),
    ):
        config["cache_dir"] = cache
        return begun(build.build_task(config)), config


def taught(dataset: Dataset) -> Dataset:
    """The dataset with a teacher that knows nothing: all answers are as likely."""
    outputs = dataset.spec.num_outputs
    answers = torch.full((dataset.store.y.size(0), outputs), -float(np.log(outputs)))
    store = replace(dataset.store, teacher=answers, memo={})
    return replace(dataset, store=store, spec=replace(dataset.spec, teacher_dim=outputs))


def begun(task: Task) -> Task:
    """The task as after its first step, which looks at the loss that nothing has computed here."""
    task.has_begun = True
    return task


@dataclass
class Counted:
    """What one run did: of the last step, of one batch's cut, of one validation."""

    launches: Counter[str] = field(default_factory=Counter)
    waits: list[str] = field(default_factory=list)
    variants: int = 0
    between: int = 0  # launches between steps, all of them
    steps: int = 0
    validation: Counter[str] = field(default_factory=Counter)
    validation_waits: list[str] = field(default_factory=list)
    new_variants: list[int] = field(default_factory=list)  # in each step


class Enough(Exception):
    """So many steps were taken."""


class Recorder(Callback):
    """Reads the notes where a step begins and ends."""

    def __init__(self, epochs: Epochs, steps: int, validates: bool) -> None:
        self.counted, self.steps = Counted(), steps
        self.before = 0
        self.is_within = False
        end_epoch = epochs.end_epoch

        def ended(*args: Any) -> None:
            self.end()
            if validates:
                end_epoch(*args)
            self.counted.validation = Counter(NOTES.launches)
            self.counted.validation_waits = [*NOTES.waits]
            NOTES.clear()

        epochs.end_epoch = ended

    def on_train_batch_start(self, *_: Any) -> None:
        """The batch is there."""
        self.counted.between += NOTES.launches.total()
        self.before = len(NOTES.variants)
        self.is_within = True
        NOTES.clear()

    def on_train_batch_end(self, *_: Any) -> None:
        """Called after gbench's own, which may have ended an epoch."""
        self.end()
        if self.counted.steps == self.steps:
            raise Enough

    def end(self) -> None:
        """The step is over."""
        if not self.is_within:
            return
        self.is_within = False
        self.counted.launches, self.counted.waits = Counter(NOTES.launches), [*NOTES.waits]
        self.counted.steps += 1
        self.counted.variants = len(NOTES.variants)
        self.counted.new_variants.append(len(NOTES.variants) - self.before)
        NOTES.clear()


class Imagined(CPUAccelerator):
    """Lightning's CPU, asked for another device."""

    def setup_device(self, device: torch.device) -> None:
        """Nothing to set up."""


def trained(task: Task, config: dict[str, Any], steps: int, *, validates: bool = True) -> Counted:
    """Train so many steps on the fake device."""
    display = Display(Console(quiet=True), "", task.dataset.card, 5)
    epochs = Epochs(config, task.dataset.card, last_checkpoint=Path("last"), display=display)
    recorder = Recorder(epochs, steps, validates)
    NOTES.clear()
    NOTES.variants.clear()
    with (
        on_fake_cuda(),
        mock.patch.object(gbench_trainer, "Trainer", on_device),
        mock.patch.object(loader, "ROUND_SECONDS", float("inf")),  # no checkpoint is written
        quiet(),
    ):
        callbacks = [epochs, Rounds(epochs, config["trainer"]), recorder]
        trainer = make_trainer(config["trainer"], callbacks, [])
        with suppress(Enough):
            trainer.fit(task)
    return recorder.counted


def on_device(**settings: Any) -> Trainer:
    """Lightning's Trainer, whose one device is the fake one."""
    strategy = SingleDeviceStrategy(DEVICE, accelerator=Imagined())
    return Trainer(**{**settings, "accelerator": "auto", "devices": 1, "strategy": strategy})


@contextmanager
def quiet() -> Iterator[None]:
    """Lightning's remarks on exceptions and on the batch size are no news."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


# --- every model ---------------------------------------------------------------------------------


def kinds_of_data() -> dict[tuple[str, str], str]:
    """A packaged dataset of each level and loss."""
    found: dict[tuple[str, str], str] = {}
    for name, path in choices("data").items():
        facts = read_yaml(path)
        if "names" not in facts and facts.get("loss"):
            found.setdefault((facts["level"], facts["loss"]), name)
    return found


def small(card: DataCard, _: float, is_rich: bool) -> Dataset:
    """A tiny dataset for any card; rich: with edge categories, or with sparse features."""
    drawn = tiny.graphs(card, are_molecules=is_rich) if card.level == "graph" else tiny.nodes(card)
    made = drawn.store
    generator = torch.Generator().manual_seed(0)
    spec, store, split = drawn.spec, made, drawn.split
    if card.level != "graph" and is_rich:
        kept = torch.rand(made.x.shape, generator=generator) < 0.1
        store = replace(store, x=torch.where(kept, made.x, 0.0))
    if card.level == "link":
        pairs = torch.randint(made.num_nodes, (20, 2), generator=generator)
        y = (torch.arange(20) % 2).float()[:, None]
        links = torch.arange(0, 20, 2)
        split = Split(links, torch.arange(20), torch.arange(20))
        spec, store = replace(spec, level="link", num_outputs=1), replace(store, pairs=pairs, y=y)
    elif card.labels != "classes":
        y = torch.rand(made.y.size(0), 2, generator=generator)
        y = y.round() if card.labels == "tasks" else y
        y[0, 1] = torch.nan
        spec, store = replace(spec, num_outputs=2), replace(store, y=y)
    store = replace(store, level=card.level, memo={})
    return replace(drawn, card=card, spec=spec, store=store, split=split, fingerprint="tiny")


def every_model() -> Iterator[tuple[str, Counted]]:
    """Two steps of each packaged model on tiny data of each kind; the waits it tells, if it does.

    Node-level models meet sparse features, and dense ones with links; graph-level ones dense
    features and classes, and atoms, bonds and tasks with missing labels. Other losses are seen with
    one model: what they start does not depend on it.
    """
    plain, kinds = ("experiment=null",), kinds_of_data()  # encodings are the model's own
    usual = {level: kinds[level, "cross-entropy"] for level in ("node", "graph")}
    everywhere = [("node", "cross-entropy"), ("graph", "cross-entropy"), ("graph", "bce")]
    for (level, loss), data in kinds.items():
        asked = "node" if level == "link" else level
        is_rich = (level == "node") == (loss == "cross-entropy") and level != "link"
        other = composed(f"data={data}", *plain)
        for model in networks():
            if asked not in stated("model.levels", networks(), model):
                continue
            config = deepcopy(composed(f"model={model}", f"data={usual[asked]}", *plain))
            config |= {key: other[key] for key in ("data", "predictor") if key in other}
            config["optim"]["batch_size"] = 6
            if "hidden_dim" in config["model"]:
                config["model"]["hidden_dim"] = 16
            name = f"{model} {level} {loss}"
            try:
                task, config = task_of(config, partial(small, is_rich=is_rich))
            except UserError as refusal:
                print(f"      {name} is refused: {refusal}")
                continue
            reasons = [part.waits for part in task.model.modules() if getattr(part, "waits", "")]
            if reasons:
                yield name, Counted(waits=reasons)
                continue
            yield name, trained(task, config, 2, validates=False)
            if level != "link" and (level, loss) not in everywhere:
                break


# --- host time ---------------------------------------------------------------------------------


def host_ms(step: Step, rounds: int = 80) -> float:
    """The lower quartile of a step's CPU time, without Lightning's loop and nothing to compute.

    Tensors are tiny and on the CPU, operations go through the dispatcher to the CUDA half, and
    Triton's launches end where its C launcher would begin.
    """
    task, _ = task_of(composed(*step.words, *step.tiny), step.data, scale=0.1)
    task.trainer = SimpleNamespace(precision="32-true", gradient_clip_val=None)
    optimizer = task.configure_optimizers()
    batch = next(iter(task.source.training(task.dataset, Share(0, 1, 0, 1, 5))(0)))
    loss_sum, seconds = torch.zeros(()), []
    task.train()
    for _ in range(rounds):
        started = time.thread_time()
        loss = task.training_step(batch, 0)
        task.optimizer_zero_grad(0, 0, optimizer)
        task.backward(loss)
        optimizer.step()
        loss_sum += loss.detach()
        seconds.append(time.thread_time() - started)
    return 1000 * sorted(seconds[rounds // 4 :])[rounds // 5]


def print_host_ms(names: Sequence[str]) -> None:
    """A JSON line, from a process whose CPU tensors meet the CUDA half."""
    torch.set_num_threads(1)
    fake_cuda.stub_triton()
    for path in (Path(library.__file__).parent / "cuda").glob("*.py"):
        module = import_module(f"gbench.kernels.cuda.{path.stem}")
        if hasattr(module, path.stem):
            sys.modules[f"gbench.kernels.cpu.{path.stem}"] = module
    library.has_kernel = lambda name, x: library.has_cuda(name)
    torch.Tensor.is_cuda = property(lambda self: True)  # for the branches that ask
    torch.cuda.get_device_properties = lambda device: fake_cuda.PROPERTIES
    print(json.dumps({name: host_ms(STEPS[name]) for name in names}))


def host_times(names: Sequence[str]) -> dict[str, float]:
    """`host_ms` of each step, in milliseconds."""
    command = [sys.executable, __file__, "--host", *names]
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(told.splitlines()[-1])


# --- the table ---------------------------------------------------------------------------------


def counted(name: str, *more: str, steps: int = STEPS_TAKEN, is_real: bool = False) -> Counted:
    """What the training of this step did."""
    step = STEPS[name]
    return trained(*task_of(composed(*step.words, *more), None if is_real else step.data), steps)


def of_triton(found: Counted) -> int:
    """Launches of the step that are of Triton's kernels, whose names have a module."""
    return sum(number for name, number in found.launches.items() if "." in name)


def table_of(rows: Sequence[dict[str, Any]], found: Sequence[Counted]) -> Table:
    table = Table("one step of", caption="validation: launches and waits of an epoch's end")
    for name in ("launches", "Triton", "ATen", "waits", "variants", "host ms", "cut", "validation"):
        table.add_column(name, justify="right")
    for row, each in zip(rows, found, strict=True):
        ours = of_triton(each)
        host = "" if row["host_ms"] is None else f"{row['host_ms']:.2f}"
        check = f"{each.validation.total()} / {len(each.validation_waits)}"
        table.add_row(
            row["step"],
            *map(str, (row["launches"], ours, row["launches"] - ours, len(row["waits"]))),
            str(row["variants"]),
            host,
            f"{each.between / each.steps:.1f}",
            check if each.validation else "",
        )
    return table


def row_of(name: str, found: Counted, host: float | None) -> dict[str, Any]:
    """A row of the JSON file."""
    return {
        "step": name,
        "launches": found.launches.total(),
        "waits": found.waits,
        "variants": found.variants,
        "host_ms": host,
    }


def show_models(console: Console, file: Path | None) -> None:
    """A line for each model and kind of data: launches, of Triton and of ATen in brackets."""
    rows = []
    for name, found in every_model():
        rows.append(row_of(name, found, None))
        waits = f", waits: {found.waits}" * bool(found.waits)
        total, ours = found.launches.total(), of_triton(found)
        told = f"{total:5} ({ours:3} / {total - ours:3}) {name}{waits}"
        console.print(told, highlight=False, soft_wrap=True)
    if file:
        file.write_text(json.dumps(rows, indent=1) + "\n")


def show_epoch(console: Console, batches: int, file: Path | None) -> None:
    """When GIN on molhiv at 32 compiles its variants; few and narrow layers have them all."""
    step = replace(STEPS["gin-molhiv-32"], data=partial(molhiv, count=32 * batches))
    found = trained(
        *task_of(composed(*step.words, "model.hidden_dim=16", "model.num_layers=3"), step.data),
        batches,
    )
    when = {place + 1: new for place, new in enumerate(found.new_variants) if new}
    console.print(f"{batches} batches, {found.variants} variants; new in batch: {when}")
    for kernel, number in sorted(Counter(NOTES.variants).items()):
        console.print(f"  {number:4} {kernel}", highlight=False)
    if file:
        told = {"batches": batches, "variants": found.variants, "new": found.new_variants}
        file.write_text(json.dumps(told) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("steps", nargs="*", choices=[[], *STEPS], metavar="STEP")
    parser.add_argument("--json", type=Path, help="also write the rows there")
    parser.add_argument("--ops", action="store_true", help="name each operation with its launches")
    parser.add_argument("--real", action="store_true", help="real data, if they are at hand")
    parser.add_argument("--no-host", action="store_true", help="leave out host_ms")
    parser.add_argument("--epoch", type=int, nargs="?", const=MOLECULES // 32, metavar="BATCHES")
    parser.add_argument("--models", action="store_true", help="every model on tiny data: its waits")
    parser.add_argument("--host", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    names, console = args.steps or [*STEPS], Console()
    if not console.is_terminal:
        console = Console(width=100)
    silence()
    if args.host:
        print_host_ms(names)
        return 0
    if args.models:
        show_models(console, args.json)
        return 0
    if args.epoch:
        show_epoch(console, args.epoch, args.json)
        return 0
    times = {} if args.no_host else host_times(names)
    rows, found = [], []
    for name in names:
        each = counted(name, is_real=args.real)
        found.append(each)
        rows.append(row_of(name, each, times.get(name)))
        if args.ops:
            for kind, number in sorted(each.launches.items(), key=lambda pair: -pair[1]):
                console.print(f"  {number:4} {kind}", highlight=False)
    console.print(table_of(rows, found))
    for row in rows:
        for wait in row["waits"]:
            console.print(f"{row['step']} waits: {wait}", highlight=False)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
