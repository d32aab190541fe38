"""One training step of every packaged model on the GPU, against the same step in float64.

The step in float64 runs on the CPU, every operation of gbench.kernels by its definition. Dropout is
off: nobody's draws are another's. The packaged settings are read from conf/model without hydra.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import gbench
from gbench.bench import workloads
from gbench.data.batch import Batch
from gbench.data.loaders.ogb import ATOM_CATEGORIES, BOND_CATEGORIES
from gbench.data.source import Graph
from gbench.data.spec import DataSpec
from gbench.data.statistics import asked, measured
from gbench.data.store import pack
from gbench.errors import UserError
from gbench.kernels import library

CONF = Path(gbench.__file__).parent / "conf" / "model"
ALLOWED = 2e-3  # of loss and gradients, as parts of their norms; a term left out is off by a tenth
ALLOWED_BFLOAT16 = 5e-2  # of the loss under autocast
CLASSES, FEATURES = 3, 12
DRAWS = 3
RATE = 0.05


def settings(name: str) -> dict[str, Any]:
    """The keys below `model:` of conf/model/<name>.yaml and of those that it begins with."""
    found: dict[str, Any] = {}
    section = ""
    for line in (CONF / f"{name}.yaml").read_text().splitlines():
        text = line.partition(" #")[0].rstrip()
        if not text or text.startswith("#"):
            continue
        if not text.startswith(" "):
            section = text.rstrip(":")
        elif section == "defaults" and _is_base(text):
            found |= settings(text.strip().removeprefix("- "))
        elif section == "model":
            key, _, value = text.strip().partition(": ")
            found[key] = _value(value.strip())
    return found


def _is_base(text: str) -> bool:
    """Whether an entry of the defaults is another model's file."""
    return text.strip() != "- _self_" and "override" not in text


def _value(text: str) -> Any:
    if text.startswith("["):
        return [_value(part.strip()) for part in text.strip("[]").split(",")]
    constants = {"true": True, "false": False, "null": None}
    if text in constants:
        return constants[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def pairs() -> list[tuple[str, str]]:
    """Every packaged model with every level of data that it takes."""
    # one that chooses an encoding has no such data here
    files = [path for path in CONF.glob("*.yaml") if "- override" not in path.read_text()]
    names = sorted(path.stem for path in files if settings(path.stem).get("is_network", True))
    kinds = {"node": "nodes", "graph": "molecules"}
    # one that answers pairs of nodes itself has no such data here
    return [(n, kinds[level]) for n in names for level in settings(n)["levels"] if level in kinds]


def build(name: str, spec: DataSpec, is_tiny: bool = False) -> nn.Module:
    """The packaged model, without dropout; narrow and of two layers where `is_tiny`."""
    given = settings(name)
    module, _, kind = given.pop("_target_").rpartition(".")
    given.pop("levels")
    options = {key: 0.0 if "dropout" in key else value for key, value in given.items()}
    if "partition" in options:
        options["partition"] = "random"  # METIS is a package of its own
    if is_tiny:
        narrow = {"hidden_dim": 8, "num_layers": 2, "num_mixer_layers": 1, "num_patches": 4}
        options |= {key: value for key, value in narrow.items() if key in options}
    target = getattr(import_module(module), kind)
    if names := asked(target):
        _, batch = nodes() if spec.level == "node" else molecules()
        every = torch.arange(batch.num_nodes)
        told = measured(names, batch.graph, batch.node_ptr, every)
        spec = replace(spec, statistics=told)
    model: nn.Module = target(spec, **options)
    return model


def nodes() -> tuple[DataSpec, Batch]:
    """One undirected graph with mostly zeros for features."""
    graph = workloads.power_law(60, 300, 0.5, torch.device("cpu"))
    x = torch.randn(60, FEATURES) * (torch.rand(60, FEATURES) < 0.3)
    y = torch.arange(60) % CLASSES
    batch = pack([Graph(x, graph.edge_index, y)], "node").whole()
    return DataSpec("node", CLASSES, FEATURES), batch.with_targets(torch.arange(0, 60, 2))


def molecules(model: nn.Module | None = None) -> tuple[DataSpec, Batch]:
    """A batch of molecules, with the patches that the model reads."""
    spec = DataSpec("graph", CLASSES, len(ATOM_CATEGORIES), ATOM_CATEGORIES, BOND_CATEGORIES)
    store = pack(
        [
            graph._replace(y=torch.tensor([index % CLASSES]))
            for index, graph in enumerate(workloads.drawn_molecules(12))
        ]
    )
    batch = store.batch(torch.arange(12))
    if (patching := getattr(model, "patching", None)) is not None:
        batch = replace(batch, patches=_patches(store, patching))
    return spec, batch


def _patches(store: Any, patching: Any) -> Any:
    from gbench.data.patches import metis
    from gbench.data.patches.grow import grown

    union, node_ptr = store.union()
    arrays = (node_ptr.long(), union.rowptr.long(), store.col)
    graphs = metis.Graphs(*(array.numpy() for array in arrays))
    ids = torch.arange(store.num_graphs).numpy()
    part = metis.assign(
        graphs,
        ids,
        num_parts=patching.num_patches,
        partition="random",
        edge_dropout=0.0,
        seed=metis.STATIC,
    )
    return grown(graphs, ids, part, patching.num_patches, patching.hops)


@contextmanager
def by_definition() -> Iterator[None]:
    """Operations on the CPU are computed as their references say."""
    kept = library.has_kernel
    library.has_kernel = lambda name, x: False
    try:
        yield
    finally:
        library.has_kernel = kept


def row(name: str, data: str, device: torch.device, is_tiny: bool) -> dict[str, Any]:
    """Loss and gradients of a step, the loss after it, and the loss under autocast.

    A number that rounding moves across a ReLU's edge changes a gradient by more than rounding, so
    that other numbers are tried where some are off.
    """
    head: dict[str, Any] = {"kind": "model", "op": name, "workload": data, "dtype": "float32"}
    found: dict[str, Any] = {}
    try:
        for seed in range(DRAWS):
            found = _errors(name, data, device, seed, is_tiny)
            if found["status"] == "ok":
                break
    except ModuleNotFoundError as error:
        return {**head, "status": "skipped", "note": f"needs {error.name}"}
    except UserError as error:  # names the package that is missing
        return {**head, "status": "skipped", "note": str(error)}
    return {**head, **found}


def _errors(name: str, data: str, device: torch.device, seed: int, is_tiny: bool) -> dict[str, Any]:
    torch.manual_seed(seed)
    spec = (nodes() if data == "nodes" else molecules())[0]
    model = build(name, spec, is_tiny)
    _, batch = nodes() if data == "nodes" else molecules(model)
    with by_definition():
        wanted = _step(copy.deepcopy(model).double(), _double(batch))
    model, batch = model.to(device), batch.to(device)
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16):
        low = float(_loss(copy.deepcopy(model), batch))
    found = _step(model, batch)
    told = {
        "loss": abs(found.loss / wanted.loss - 1),
        "gradients": float((found.grads - wanted.grads).norm() / wanted.grads.norm()),
        "loss after the step": abs(found.after / wanted.after - 1),
    }
    low_error = abs(low / wanted.loss - 1)
    is_right = max(told.values()) <= ALLOWED and low_error <= ALLOWED_BFLOAT16
    return {
        "status": "ok" if is_right else "wrong",
        "error": max(told.values()),
        "allowed": ALLOWED,
        "errors": {**told, "loss under bfloat16 autocast": low_error},
    }


class _Step:
    def __init__(self, loss: Tensor, grads: Tensor, after: Tensor) -> None:
        self.loss, self.grads, self.after = float(loss), grads.double().cpu(), float(after)


def _step(model: nn.Module, batch: Batch) -> _Step:
    """Of plain gradient descent: Adam's first step is the gradient's sign."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(parameters, RATE)
    loss = _loss(model, batch)
    loss.backward()
    grads = torch.cat(
        [(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in parameters]
    )
    optimizer.step()
    with torch.no_grad():
        after = _loss(model, batch)
    return _Step(loss.detach(), grads, after)


def _loss(model: nn.Module, batch: Batch) -> Tensor:
    model.train()
    logits, y = model(batch), batch.y
    if batch.targets is not None:
        logits, y = logits[batch.targets], y[batch.targets]
    return F.cross_entropy(logits.to(torch.promote_types(logits.dtype, torch.float32)), y)


def _double(batch: Batch) -> Batch:
    """The same with features, and all else that is float32, in float64."""
    patches = batch.patches
    if patches is not None:
        patches = replace(patches, **_doubled(patches))
    return replace(batch, **_doubled(batch), patches=patches, memo={})


def _doubled(parts: Any) -> dict[str, Any]:
    return {
        name: value.double()
        for name, value in vars(parts).items()
        if isinstance(value, Tensor) and value.is_floating_point()
    }
