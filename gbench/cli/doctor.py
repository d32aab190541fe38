"""Tell what gbench finds on this machine: versions and whether they fit, devices, folders."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
from pathlib import Path

SUMMARY = "tell what works on this machine"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    pass


def run(args: argparse.Namespace) -> int:
    from gbench import environment, folders
    from gbench.requirements import misfits

    rows = [("system", f"{platform.system()} {platform.machine()}, {environment.cpu_name()}")]
    rows += list(environment.versions().items())
    wrong = misfits("gbench")
    # torch names its one version of triton; another may do as well, which the kernels will tell
    rows += [("does not fit", text) for text in [*wrong, *misfits("torch")]]
    healthy = not wrong
    for name, folder in (("data_dir", folders.data_dir()), ("cache_dir", folders.cache_dir())):
        rows.append((name, f"{folder} ({_folder_state(folder)})"))
    for name, check in (
        ("device", _device),
        ("threads", _threads),
        ("peak memory", _peak_memory),
        ("kernels", _kernels),
        ("dense layers", _dense),
    ):
        try:
            rows.append((name, check()))
        except Exception as error:
            healthy = False
            rows.append((name, f"FAILED: {type(error).__name__}: {error}"))
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        print(f"{name:{width}}  {text}")
    return 0 if healthy else 1


def _folder_state(folder: Path) -> str:
    if not folder.is_dir():
        return "not made yet"
    free = shutil.disk_usage(folder).free / 2**30
    return f"{'writable' if os.access(folder, os.W_OK) else 'read-only'}, {free:.0f} GiB free"


def _device() -> str:
    import torch

    from gbench.environment import device_name

    if torch.cuda.is_available():
        return device_name(torch.device("cuda"))
    return f"{device_name(torch.device('cpu'))}; no GPU that torch can use"


def _threads() -> str:
    """How many a training has on the CPU, and why."""
    import torch

    from gbench.parallel import keep_to_limit, limited_to, num_cores

    if given := os.environ.get("OMP_NUM_THREADS"):
        return f"{torch.get_num_threads()}, OMP_NUM_THREADS={given}"
    keep_to_limit()
    reason = limited_to() or f"{num_cores()} cores may be used"
    return f"{torch.get_num_threads()}, {reason}"


def _dense() -> str:
    """Which way their products go on this processor, as far as trainings have asked."""
    import torch

    from gbench.kernels.cpu import ways

    threads = torch.get_num_threads()
    kept = ways.kept(threads)
    told = [f"{len(kept)} measured with {threads} threads"]
    for way, words in (
        (ways.CONVOLUTION, "by convolution"),
        (ways.WIDENED, "of bfloat16 numbers in float32, which is faster here"),
    ):
        found = [
            f"{which} ({', '.join(name for name, chosen in products.items() if chosen == way)})"
            for which, products in kept.items()
            if way in products.values()
        ]
        told += [f"{words}: {'; '.join(found)}"] if found else []
    return ", ".join(told)


def _peak_memory() -> str:
    """What records will say of it."""
    import torch

    from gbench.peak_memory import can_reset, resident_peak_mib

    if torch.cuda.is_available():
        return "told by phase, as PyTorch allocates it on the GPU"
    if can_reset():
        return f"told by phase, as it is resident: {resident_peak_mib():.0f} MiB in this one"
    return "told of the whole process: the system does not let it begin anew with a phase"


def _kernels() -> str:
    """Sums over in-neighbours of a random graph, forward and backward, against dense algebra."""
    import torch

    from gbench.kernels import spmm
    from gbench.kernels.csr import CSR

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    generator = torch.Generator().manual_seed(0)
    edge_index = torch.randint(0, 40, (2, 200), generator=generator)
    x = torch.randn(40, 16, generator=generator)
    adjacency = torch.zeros(40, 40).index_put_(
        (edge_index[1], edge_index[0]), torch.ones(200), accumulate=True
    )
    graph, _ = CSR.from_edge_index(edge_index, 40)
    features = x.to(device).requires_grad_()
    out = spmm(graph.to(device), features)
    out.square().sum().backward()
    torch.testing.assert_close(out.cpu(), adjacency @ x, rtol=1e-4, atol=1e-4)
    assert features.grad is not None
    expected = 2 * adjacency.T @ (adjacency @ x)
    torch.testing.assert_close(features.grad.cpu(), expected, rtol=1e-4, atol=1e-3)
    return f"agree with dense algebra on {device.type}"
