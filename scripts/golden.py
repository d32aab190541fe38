"""What gbench writes, beside what another commit writes: curves, records, tables, pages, texts.

Both trees train the same short runs, and both draw the runs of the older one in every format. Left
out are times, memory, versions, the date of a page, and settings that came later and say nothing.
Exits 1 where anything else differs.
    GBENCH_DATA=FOLDER python scripts/golden.py COMMIT [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import csv
import difflib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from gbench.config.identity import BEFORE

HERE = Path(__file__).resolve().parent.parent
QUICK = ["trainer.max_epochs=3"]
SHORT = [*QUICK, "trainer.limit_batches=2"]
RUNS = [  # each model, level, loss, encoding, batching, optimizer, schedule and stopping rule
    ["model=gcn", "data=cora", *QUICK],
    ["model=gcn", "data=cora", *QUICK, "seed=1"],
    ["model=gcn", "data=cora", *QUICK, "seed=2", "trainer.precision=bf16-mixed"],
    ["model=gcn", "data=cora", *QUICK, "model.hidden_dim=32", "optim.schedule=step"],
    ["model=sgc", "data=cora", *QUICK],
    ["model=sgc", "data=citeseer", "trainer.max_epochs=5", "trainer.monitor=objective"],
    ["model=dagnn", "data=cora", *QUICK],
    ["model=gat", "data=cora", *QUICK],
    ["model=mlp", "data=cora", *QUICK, "optim.optimizer=asam"],
    ["model=gcn", "data=texas", *QUICK, "data.fold=3"],
    ["model=diag-nsd", "data=texas", *QUICK],
    ["model=od-nsd", "data=texas", *QUICK, "trainer.monitor=loss", "trainer.ties=later"],
    ["model=gen-nsd", "data=texas", *QUICK],
    ["model=sheaf-network", "data=texas", *QUICK],
    ["model=cont-nsd", "data=texas", *QUICK],
    ["model=gcn", "data=csbm", "data.homophily=0.2", *QUICK, "encoding=lappe"],
    ["model=gin", "data=csbm", *QUICK, "encoding=rwse", "batching=partitions"],
    ["model=gcn", "data=wisconsin", *QUICK, "batching=neighbours"],
    ["model=gin", "data=digits", *SHORT],
    ["model=gin-vn", "data=digits", *SHORT, "optim.steps_per_epoch=3"],
    ["model=gcn-vn", "data=ogbg-molhiv", *SHORT, "trainer.gradient_clip_val=0.5"],
    ["model=gin", "data=ogbg-molhiv", *SHORT, "+trainer.accumulate_grad_batches=2"],
    ["model=gin", "data=mutag", *SHORT, "optim.schedule=plateau", "optim.lr_patience=0"],
    ["model=graph-mlp-mixer", "data=mutag", *SHORT, "encoding=rwse"],
    ["model=graph-vit", "data=mutag", *SHORT],
    ["model=mp-gnn", "data=csl", *SHORT],
    ["model=gcn", "data=chameleon", *QUICK, "data.fold=1"],
    ["model=gcn", "data=peptides-func", *SHORT],
    ["model=gin", "data=mutag", "data.split=gin-10-fold-selects-on-test", *SHORT, "data.fold=0"],
    ["model=gin", "data=mutag", "data.split=gin-10-fold-selects-on-test", *SHORT, "data.fold=1"],
    ["model=gcn", "data=folder", "data.path=own", *QUICK],
    [
        "model=gcn",
        "data=folder",
        "data.path=errors",
        *QUICK,
        "trainer.stop=window",
        "trainer.patience=1",
    ],
    ["model=gin", "data=folder", "data.path=errors", *QUICK],
]
DRAWN = {
    **{
        f"leaderboard.{form}": ["leaderboard", "--format", form]
        for form in ("table", "md", "csv", "json", "latex", "html")
    },
    "one.txt": ["leaderboard", "data=cora", "model=gcn"],
    "published.txt": ["leaderboard", "none", "data=cora"],
    "list.txt": ["list"],
    "show.txt": ["show", "model=gin", "data=ogbg-molhiv", "optim.lr=0.01"],
    "runs.txt": ["runs"],
    "info.txt": ["data", "info", "cora"],
    "reproduce.md": ["reproduce", "--report"],
}
UNEQUAL = {"seconds_per_epoch", "seconds_total", "items_per_second", "peak_memory_mib", "versions"}
UNEQUAL |= {"git", "started", "finished", "captured", "peak_memory_by_phase"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("commit")
    parser.add_argument("--keep", type=Path, help="leave what both wrote in this folder")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        older = place / "tree"
        git = ["git", "-C", str(HERE), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(older), args.commit], check=True)
        try:
            trained = {side: place / side / "runs" for side in ("before", "after")}
            for side, tree in (("before", older), ("after", HERE)):
                (place / side).mkdir()
                own_data(place / side)
                runs = [
                    (["train", *words], place / side / f"refused-{number}.txt")
                    for number, words in enumerate(RUNS)
                ]
                carry_out(tree, runs, place / side, place / "cache")
            for side, tree in (("before", older), ("after", HERE)):
                (place / side / "drawn").mkdir()
                drawn = [(words, place / side / "drawn" / name) for name, words in DRAWN.items()]
                carry_out(tree, drawn, trained["before"].parent, place / "cache")
            problems = compared(place / "before", place / "after")
        finally:
            subprocess.run([*git, "remove", "--force", str(older)], check=True)
        if args.keep:
            for side in trained:
                shutil.copytree(place / side, args.keep / side, dirs_exist_ok=True)
    print("\n".join(problems) or "all equal")
    return 1 if problems else 0


# What one tree does, in one process: reads a list of (words, file for what is printed) as JSON.
CARRY_OUT = """
import contextlib, io, json, sys
from gbench.cli.main import main
for words, file in json.load(sys.stdin):
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            code = main(words)
        except SystemExit as ended:
            code = ended.code
    if code or words[0] != "train":
        with open(file, "w") as out:
            out.write(f"{' '.join(words)}: {code}\\n{said.getvalue()}")
"""


def carry_out(tree: Path, commands: list[tuple[list[str], Path]], cwd: Path, cache: Path) -> None:
    """Give a tree's gbench these command lines; of a run that trains only its folder is kept."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "GBENCH_CACHE": str(cache)}
    environment |= {"COLUMNS": "200", "WANDB_MODE": "disabled"}
    subprocess.run(
        [sys.executable, "-c", CARRY_OUT],
        input=json.dumps([(words, str(file)) for words, file in commands]),
        cwd=cwd,
        env=environment,
        text=True,
        check=True,
    )


def masked(text: str) -> str:
    """Without the date of a page."""
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "DATE", text)


def compared(before: Path, after: Path) -> list[str]:
    """What differs, a line each or a diff."""
    one, other = files(before), files(after)
    problems = [f"only before: {name}" for name in sorted(one.keys() - other.keys())]
    problems += [f"only after: {name}" for name in sorted(other.keys() - one.keys())]
    for name in sorted(one.keys() & other.keys()):
        if one[name] != other[name]:
            lines = difflib.unified_diff(
                one[name].splitlines(), other[name].splitlines(), "before", "after", "", "", 0, ""
            )
            problems += [f"== {name}", *(line[:300] for line in list(lines)[:30])]
    print(f"{len(one)} files compared")
    return problems


def files(folder: Path) -> dict[str, str]:
    """What is compared of each file, by its path."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.name == "record.json":
            record = json.loads(path.read_text())
            record["config"] = without_news(record["config"])
            found[name] = json.dumps(
                {k: v for k, v in record.items() if k not in UNEQUAL}, indent=1
            )
            found[name] = found[name].replace(str(folder), "").replace(str(folder.parent), "")
        elif path.name == "metrics.csv":
            rows = list(csv.DictReader(io.StringIO(path.read_text())))
            found[name] = "\n".join(
                str({k: v for k, v in row.items() if "seconds" not in k}) for row in rows
            )
        elif path.parent.name == "drawn" or path.name.startswith("refused-"):
            found[name] = masked(path.read_text())
    return found


def without_news(config: dict[str, Any]) -> dict[str, Any]:
    """A config without the settings that came later and say nothing in it."""
    usual = {"also": [], "cuda_graphs": "auto", **BEFORE.get("trainer", {})}
    news = {**BEFORE, "trainer": usual}
    return {
        name: {k: v for k, v in section.items() if k not in news[name] or v != news[name][k]}
        if name in news
        else section
        for name, section in config.items()
    }


def own_data(folder: Path) -> None:
    """A dataset of words and one of errors, as CSV files."""
    for name, label in (("own", lambda i: "ab"[i % 3 == 0]), ("errors", lambda i: f"{i % 7}.25")):
        place = folder / name
        place.mkdir()
        nodes = "".join(f"{i},{label(i)},{i % 5},{i * 7 % 11}\n" for i in range(60))
        (place / "nodes.csv").write_text("id,label,a,b\n" + nodes)
        edges = "".join(f"{i},{(i * 3 + 1) % 60}\n" for i in range(60))
        (place / "edges.csv").write_text("source,target\n" + edges)


if __name__ == "__main__":
    sys.exit(main())
