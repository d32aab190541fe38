"""Peak memory of training beside an older commit's, whose files are unpacked to a folder.

Each figure is of a process of its own: what steps add at most to what is resident once libraries
and data are, the model, its gradients and the optimizer's moments among it. Both commits are
measured by today's gbench/bench/measure.py, after steps of another copy of the model, which load
and compile what they need.

molhiv: four steps of GIN with 512 molecules each. hidden, whole: forward and backward on a random
graph of 1 M nodes and 10 M edges, of a hidden layer of GCN, 128 → 128, with ReLU and dropout, whose
output's gradient is given and whose input has one; and of GCN 128 → 128 → 40 with its loss. There
N F bytes are 1 M · 128 · 4.
    GBENCH_DATA=FOLDER python scripts/bench_memory.py aa31a18 [--only hidden] [--threads 2]
"""

from __future__ import annotations

import argparse
import os
import runpy
import subprocess
import sys
import tempfile
from copy import deepcopy
from pathlib import Path
from typing import Any

from bench_against import ROOT, composed, keep_to_own_modules, unpacked

NUM_NODES, NUM_EDGES, WIDTH, CLASSES = 1_000_000, 10_000_000, 128, 40
CASES = {"molhiv": "GIN, ogbg-molhiv", "hidden": "a hidden layer of GCN", "whole": "GCN"}
STEPS, BATCH = 4, 512


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("commit", help="the older commit")
    parser.add_argument("--only", choices=[*CASES])
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        old = unpacked(args.commit, Path(name) / "old")
        print(
            f"MiB at the peak, {args.threads} threads: {args.commit}, now, ratio, now in N F bytes"
        )
        for case in [args.only] if args.only else CASES:
            before, now = (measured(case, each, name, args.threads) for each in (old, ROOT))
            size = "" if case == "molhiv" else f"{now * 2**20 / (NUM_NODES * WIDTH * 4):6.2f}"
            print(
                f"{CASES[case]:24} {before:8.1f} {now:8.1f} {now / before:6.3f} {size}", flush=True
            )


def measured(case: str, source: Path, place: str, threads: int) -> float:
    """MiB of a case in a process of the commit whose files are in `source`."""
    env = os.environ | {"PYTHONPATH": str(source), "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, __file__, "--arm", case]
    return float(subprocess.run(command, cwd=place, env=env, check=True, stdout=-1).stdout)


def arm(case: str) -> None:
    """What a process of a commit does: print the peak of a case."""
    keep_to_own_modules()
    import torch

    call = molhiv() if case == "molhiv" else gcn(case)
    call()
    measure = runpy.run_path(str(ROOT / "gbench" / "bench" / "measure.py"))
    print(measure["peak_extra_mib"](call, torch.device("cpu")))


def molhiv() -> Any:
    from gbench.build import build_task
    from gbench.train.optimizer import make_optimizer

    task = build_task(composed(["experiment=gin-ogbg-molhiv", "trainer=cpu"]))
    chunks = task.dataset.split.train[: STEPS * BATCH].split(BATCH)
    batches = [*task.dataset.store.batches(chunks)]

    def steps() -> None:
        model = deepcopy(task.model).train()
        optimizer = make_optimizer(model, task.optim, fused=True)
        for batch in batches:
            optimizer.zero_grad()
            task.loss(model(batch), batch).backward()
            optimizer.step()

    return steps


def gcn(case: str) -> Any:
    import torch
    from torch.nn import functional

    from gbench.build import build_model
    from gbench.data.batch import Batch
    from gbench.data.spec import DataSpec
    from gbench.kernels.csr import CSR

    torch.manual_seed(0)
    graph, _ = CSR.from_edge_index(torch.randint(NUM_NODES, (2, NUM_EDGES)), NUM_NODES)
    x, y = torch.randn(NUM_NODES, WIDTH), torch.randint(CLASSES, (NUM_NODES,))
    batch = Batch(graph, x, y, torch.tensor([0, NUM_NODES], dtype=torch.int32))
    words = [f"model.hidden_dim={WIDTH}", "model.input_dropout=0"]
    settings = composed(["model=gcn", "data=cora", "trainer=cpu", *words])["model"]
    model = build_model(settings, DataSpec("node", CLASSES, WIDTH)).train()
    given = torch.randn(NUM_NODES, WIDTH) if case == "hidden" else None

    def whole() -> None:
        each = deepcopy(model)
        functional.cross_entropy(each(batch), y).backward()

    def hidden() -> None:
        step = deepcopy(model).steps()[0]
        step(batch, x.detach().requires_grad_()).backward(given)

    return hidden if case == "hidden" else whole


if __name__ == "__main__":
    if sys.argv[1:2] == ["--arm"]:
        arm(sys.argv[2])
    else:
        main()
