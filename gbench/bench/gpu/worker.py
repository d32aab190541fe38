"""The process that uses the GPU: run what is left of the items, tell the conductor each row."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import traceback
import warnings
from typing import Any


def work(args: argparse.Namespace, told: dict[str, list[str]]) -> int:
    """Run the items that are not `done`; end early where this process should do nothing more."""
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what packages print is no row

    def tell(event: str, **values: Any) -> None:
        print(json.dumps({"event": event, **values}), file=channel, flush=True)

    if args.device == "cpu":
        os.environ["TRITON_INTERPRET"] = "1"
    warnings.simplefilter("ignore")  # sparse tensors are "in beta", and others have their own
    try:
        import torch
        import triton

        from gbench import __version__, environment
        from gbench.bench import measure
        from gbench.bench.gpu import items
        from gbench.bench.gpu.cases import NotCaptured, first_line
    except ModuleNotFoundError as error:
        tell("refused", note=f"needs torch, triton and numpy: there is no {error.name}")
        return 1

    if args.device == "cuda" and not torch.cuda.is_available():
        tell("refused", note=_no_cuda(torch.version.cuda))
        return 1
    device = torch.device(args.device)
    if args.device == "cpu":
        from gbench.bench.gpu.interpreted import interpret

        interpret()
    tell(
        "facts",
        device=environment.device_name(device),
        python=platform.python_version(),
        gbench=__version__,
        torch=torch.__version__,
        triton=triton.__version__,
    )
    options = items.Options(
        device,
        1 if args.device == "cpu" else 5 if args.quick else args.rounds,
        is_quick=args.quick,
        is_tiny=args.device == "cpu",
        uncaptured=frozenset(told["uncaptured"]),
    )
    for name in filter(lambda name: name.startswith(args.op), items.missing()):
        tell("begin", item=f"missing · {name}")
        tell("row", kind="case", op=name, status="failed", note="no file in gbench/bench/ops")
    for item in items.items(options, args.op):
        if item.key in told["done"]:
            continue
        tell("begin", item=item.key)
        try:
            for row in item.run():
                tell("row", **row)
        except NotCaptured as error:
            name, note = error.args
            tell("uncaptured", name=name, note=note)
            return 0
        except torch.OutOfMemoryError as error:
            tell("row", **about(item.key), status="skipped", note=first_line(error))
            torch.cuda.empty_cache()
        except Exception as error:  # whatever it is, the others are still to be looked at
            place = traceback.extract_tb(error.__traceback__)[-1]
            note = f"{first_line(error)} ({os.path.basename(place.filename)}:{place.lineno})"  # noqa: PTH119
            tell("row", **about(item.key), status="failed", note=note)
            traceback.print_exc(file=sys.stderr)
        tell("end")
        try:
            measure.check_device(device)
        except RuntimeError as error:
            tell("lost", note=first_line(error))
            return 0
    tell("finished")
    return 0


def _no_cuda(build: str | None) -> str:
    if build is None:
        return "this torch has no CUDA: install a build for CUDA, or look with --device cpu"
    return f"torch, built for CUDA {build}, finds no GPU here (nvidia-smi shows what there is)"


def about(key: str) -> dict[str, str]:
    """What a row of an item begins with, where the item itself did not get so far."""
    kind, _, rest = key.partition(" · ")
    if kind in ("stream", "device", "large", "model"):
        return {"kind": kind, "op": rest.partition(" · ")[0], "workload": rest.partition(" · ")[2]}
    return {"kind": "case", "op": kind, "workload": rest}
