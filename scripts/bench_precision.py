"""Whether models train in bf16-mixed as they do in float32: every packaged model, fold by fold.

Models of nodes on Texas, the others on MUTAG; both precisions of a fold begin from the same
weights. The differences of the folds are held against zero by paired t tests, corrected after Holm.
Exit code 1 if those of a model are not zero (5 %).

    python scripts/bench_precision.py [--folds 10] [--models gcn,gin] [--runs FOLDER]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from gbench.board.statistics import ALPHA, Run, compare, holm, spread
from gbench.choices import stated
from gbench.config.floors import networks
from gbench.records.find import find

GBENCH = str(Path(sys.executable).parent / "gbench")
MODELS = networks()
PRECISIONS = ("32-true", "bf16-mixed")
EPOCHS = {"texas": 50, "mutag": 10}
Values = dict[str, dict[Run, float]]  # by precision: the test values by seed and fold


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folds", type=int, default=10)
    parser.add_argument("--models", help="some of them, by name")
    parser.add_argument("--runs", help="where the runs are kept; without it they are not")
    args = parser.parse_args()
    wanted = args.models.split(",") if args.models else sorted(MODELS)
    with tempfile.TemporaryDirectory() as name:
        runs = Path(args.runs or name)
        for data in EPOCHS:
            models = [model for model in wanted if data_of(model) == data]
            if models:
                train(models, data, args.folds, runs)
        results = read(runs)
    p_values = holm([compare(*(values[p] for p in PRECISIONS)).p for values in results.values()])
    print("| model | data | folds | float32 | bf16-mixed | p, after Holm |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for ((model, data), values), p in zip(results.items(), p_values, strict=True):
        cells = [text(values[precision]) for precision in PRECISIONS]
        print(
            f"| {model} | {data} | {len(values[PRECISIONS[0]])} | {' | '.join(cells)} | {p:.2f} |"
        )
    return int(any(p < ALPHA for p in p_values))


def data_of(model: str) -> str:
    return "texas" if "node" in stated("model.levels", MODELS, model) else "mutag"


def train(models: list[str], data: str, folds: int, runs: Path) -> None:
    words = [f"model={','.join(models)}", f"data={data}", f"data.fold=0..{folds - 1}"]
    words += [f"trainer.precision={','.join(PRECISIONS)}", f"trainer.max_epochs={EPOCHS[data]}"]
    words += ["experiment=null", "trainer=cpu", f"runs_dir={runs}"]
    subprocess.run([GBENCH, "train", *words], check=True)


def read(runs: Path) -> dict[tuple[str, str], Values]:
    """The test values by model and data."""
    found: dict[tuple[str, str], Values] = {}
    for record in find([runs])[0]:
        precision = record.config["trainer"]["precision"]
        values = found.setdefault((record.model, record.data), {p: {} for p in PRECISIONS})
        values[precision][record.seed, record.fold] = record.test
    return dict(sorted(found.items()))


def text(values: dict[Run, float]) -> str:
    mean, std = spread([*values.values()])
    return f"{100 * mean:.2f} ± {100 * (std or 0):.2f}"


if __name__ == "__main__":
    sys.exit(main())
