"""Registers, spills and load widths of every kernel for an H100, by version of Triton.

    python scripts/codegen_table.py [FOLDER ...]

Each folder holds a version: pip install --no-deps --target FOLDER triton==3.6.0. Without any, it is
the installed one. The kernels are compiled by tests/kernels/cuda/test_triton_codegen.py, which may
fail on the way: its bounds are those of the versions that it names. No GPU is needed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests" / "kernels" / "cuda" / "test_triton_codegen.py"


def compiled(folder: str) -> list[dict[str, Any]]:
    """A row for each kernel that a test compiled."""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "rows"
        environment = {**os.environ, "GBENCH_CODEGEN": str(file)}
        if folder:
            environment["PYTHONPATH"] = str(Path(folder).resolve())
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(TESTS)]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        print("\n".join(done.stdout.splitlines()[-6:]), file=sys.stderr)
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def table(rows: list[dict[str, Any]]) -> str:
    """A line for each kernel: of each version the most registers and bytes spilled, the loads."""
    versions = sorted({row["triton"] for row in rows})
    kernels = defaultdict(lambda: defaultdict(list))
    for row in rows:
        kernels[row["name"]][row["triton"]].append(row)
    head = "".join(f"{version:>22}" for version in versions)
    lines = [
        f"{'':34}{head}",
        f"{'kernel':34}" + f"{'regs':>8}{'spilled':>8}{'bits':>6}" * len(versions),
    ]
    for name, found in sorted(kernels.items()):
        cells = []
        for version in versions:
            given = found[version]
            if not given:
                cells.append(f"{'-':>22}")
                continue
            most = max(row["registers"] for row in given)
            spilled = max(row["spilled"] for row in given)
            widths = sorted({row["load_bits"] for row in given})
            bits = f"{widths[0]}-{widths[-1]}" if len(widths) > 1 else f"{widths[0]}"
            cells.append(f"{most:>7}{spilled:>7}{bits:>8}")
        lines.append(f"{name:34}" + "".join(cells))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="*", default=[""])
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows = [row for folder in args.folder for row in compiled(folder)]
    if args.json:
        args.json.write_text("".join(json.dumps(row) + "\n" for row in rows))
    print(table(rows))


if __name__ == "__main__":
    main()
