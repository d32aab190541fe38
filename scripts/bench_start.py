"""What starting costs: light verbs, 10,000 records, and a one-epoch run beside `import torch`.

All commands take turns with a bare interpreter, as whole processes: CPU time, and wall time.
    GBENCH_DATA=FOLDER python scripts/bench_start.py [--rounds 7]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from statistics import median

GBENCH = str(Path(sys.executable).parent / "gbench")
RUN = [GBENCH, "train", "model=gcn", "data=cora", "trainer.max_epochs=1"]
IMPORT = "python -c 'import torch'"
RECORDS = 10_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seconds([*RUN], folder)  # prepares the dataset and compiles what is compiled once
        copy_records(folder)
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "gbench --help": [GBENCH, "--help"],
            "gbench list": [GBENCH, "list"],
            f"gbench leaderboard ({RECORDS:,} records)": [GBENCH, "leaderboard", "many"],
            IMPORT: [sys.executable, "-c", "import torch"],
            "python -c 'import lightning'": [sys.executable, "-c", "import lightning"],
            "gbench train, GCN on Cora, 1 epoch": [*RUN, "--force"],
        }
        taken: dict[str, list[tuple[float, float]]] = {title: [] for title in commands}
        for _ in range(args.rounds):
            for title, command in commands.items():
                taken[title].append(seconds(command, folder))
    imported = [cpu for cpu, _ in taken[IMPORT]]
    print(f"{'CPU s':>49} {'wall s':>8} {'of import torch':>16}")
    for title, values in taken.items():
        cpu, wall = (median(column) for column in zip(*values, strict=True))
        ratio = median(one / base for (one, _), base in zip(values, imported, strict=True))
        print(f"{title:42} {cpu:6.3f} {wall:8.3f} {ratio:15.2f}x")


def seconds(command: list[str], folder: Path) -> tuple[float, float]:
    """CPU time of a command and its processes, and wall time."""
    # its modules are compiled once, as everywhere
    env = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    started, before = time.perf_counter(), getrusage(RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, env=env, check=True, capture_output=True)
    after = getrusage(RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, time.perf_counter() - started


def copy_records(folder: Path) -> None:
    """Ten thousand records made from a real one: 500 settings of 20 seeds."""
    (path,) = (folder / "runs").glob("*/record.json")
    record = json.loads(path.read_text())
    for number in range(RECORDS):
        setting, seed = divmod(number, 20)
        record |= {"run": f"r{number}", "identity": f"{setting:010x}", "seed": seed}
        record["config"]["model"]["hidden_dim"] = setting
        record["test"] = 0.5 + setting / 2000 + seed / 10**5
        copy = folder / "many" / f"r{number}"
        copy.mkdir(parents=True)
        (copy / "record.json").write_text(json.dumps(record))
    shutil.rmtree(folder / "runs")
    seconds([*RUN], folder)


if __name__ == "__main__":
    main()
