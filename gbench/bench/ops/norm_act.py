"""Peers of `norm_act`: batch norm, ReLU and dropout of 0.5 between two layers, in training.

Bytes: x read twice and y written forward; ȳ and x read twice and x̄ written backward.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gbench.bench import peers
from gbench.bench.case import Arm, Case, Plan, leaves, word
from gbench.bench.workloads import Workload
from gbench.kernels import norm_act
from gbench.kernels.norm_act import reference

NO_SEED = torch.zeros((), dtype=torch.int64)


def case(
    workload: Workload,
    width: int,
    dropout: float,
    has_residual: bool = False,
    training: bool = True,
    dtype: torch.dtype = torch.float32,
    is_padded: bool = False,
) -> Case:
    """As many rows as the workload has nodes, the last third of them padding where `is_padded`."""
    graph, device = workload.graph, workload.graph.device
    values = {
        "x": (torch.randn(graph.num_rows, width, device=device) * 2 + 3).to(dtype),
        "weight": torch.rand(width, device=device) + 0.5,
        "bias": torch.randn(width, device=device),
    }
    # What lies on the ReLU's edge is moved off it, or rounding would decide about its gradient.
    x, weight, bias = values.values()
    wide = x.float()
    mean, var = (None, None) if training else _running(width, device)
    normal = F.batch_norm(wide, mean, var, weight, bias, training=training)
    if is_padded:
        first = wide[: graph.num_rows - graph.num_rows // 3]
        scale = weight / (first.var(0, unbiased=False) + nn.BatchNorm1d(1).eps).sqrt()
        normal = (wide - first.mean(0)) * scale + bias
    x.add_(torch.where(normal.abs() < 1e-3, 0.0625, 0.0).to(dtype))
    if has_residual:
        values["residual"] = torch.randn(graph.num_rows, width, device=device).to(dtype)

    valid = graph.num_rows - graph.num_rows // 3
    rows = torch.tensor(valid, device=device) if is_padded else None

    def exact(x: Tensor, weight: Tensor, bias: Tensor, residual: Tensor | None = None) -> Tensor:
        seed = NO_SEED.to(device)
        options = (residual, seed, training, nn.BatchNorm1d(1).eps, True, 0.0)
        mean, var = (given.to(x) for given in _running(width, device))
        return reference(x, weight, bias, mean, var, *options, rows)[0]

    def ours() -> Arm:
        norm, own = _norm(values, training, dtype)
        (x,), (residual,) = own["x"], own.get("residual", (None,))
        return Arm(lambda: norm_act(x, norm, dropout=dropout, residual=residual, rows=rows), own)

    def modules() -> Arm:
        norm, own = _norm(values, training, dtype)
        (x,), (residual,) = own["x"], own.get("residual", (None,))

        def call() -> Tensor:
            out = F.dropout(F.relu(norm(x)), dropout, training)
            return out if residual is None else out + residual

        return Arm(call, own)

    size = graph.num_rows * width * dtype.itemsize
    found = {"torch modules": modules, "Inductor": lambda: peers.inductor(modules(), device)}
    extra = size if has_residual else 0
    return Case(
        Arm.of(exact, values, torch.float64),
        ours(),
        found if dtype == torch.float32 and not is_padded else {},
        ((3 if training else 2) * size + extra, 8 * size + extra),
        dtype,
        dropout=dropout,
    )


def _running(width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Running statistics, those of the batch to a quarter."""
    column = torch.arange(width, device=device) % 3
    return 2.75 + column / 8, 4.25 - column / 8


def _norm(
    values: dict[str, Tensor], training: bool, dtype: torch.dtype
) -> tuple[nn.BatchNorm1d, dict[str, tuple[Tensor, ...]]]:
    """A batch norm with these parameters, and all that gets a gradient."""
    norm = nn.BatchNorm1d(values["weight"].numel(), device=values["x"].device)
    with torch.no_grad():
        norm.weight.copy_(values["weight"])
        norm.bias.copy_(values["bias"])
        if not training:
            mean, var = _running(norm.num_features, norm.weight.device)
            norm.eval().running_mean, norm.running_var = mean, var
    others = {name: value for name, value in values.items() if name in ("x", "residual")}
    own = leaves(others, dtype) | {"weight": (norm.weight,), "bias": (norm.bias,)}
    return norm, {name: own[name] for name in values}


def _plan(
    workload: str,
    width: int,
    dropout: float = 0.0,
    has_residual: bool = False,
    training: bool = True,
    dtype: torch.dtype = torch.float32,
    is_padded: bool = False,
) -> Plan:
    words = [f"D={width}", f"dropout={dropout}" if dropout else "", "residual" * has_residual]
    words += ["" if training else "evaluation", "padded" * is_padded, word(dtype).strip()]
    build = partial(
        case,
        width=width,
        dropout=dropout,
        has_residual=has_residual,
        training=training,
        dtype=dtype,
        is_padded=is_padded,
    )
    return Plan(workload, " ".join(filter(None, words)), build)


PLANS = (
    _plan("molhiv-32", 300, 0.5),
    _plan("molhiv-512", 300, 0.5),
    _plan("molhiv-512", 600, 0.0),  # inside GIN's MLP
)
VARIANTS = (
    _plan("molhiv-512", 300, 0.5, dtype=torch.bfloat16),
    _plan("molhiv-512", 300, dtype=torch.bfloat16),
    _plan("molhiv-512", 300, has_residual=True),
    _plan("molhiv-512", 300, training=False),
    _plan("molhiv-512", 300, has_residual=True, training=False, dtype=torch.bfloat16),
    _plan("molhiv-512", 300, has_residual=True, is_padded=True),
    _plan("molhiv-32", 300, is_padded=True, dtype=torch.bfloat16),
    *(_plan("molhiv-32", width) for width in (7, 40, 64, 256)),
)
