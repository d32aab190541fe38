"""Metrics and losses of one's own: run, counted as code, and told by their file where they fail."""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gbench.board.tables import have_told, told
from gbench.cli.main import main
from gbench.config.compose import Config
from gbench.config.identity import identity
from gbench.data.dataset import Dataset
from gbench.data.load import load
from gbench.data.spec import DataCard
from gbench.errors import UserError
from gbench.fault import fault_of
from gbench.own_code.stated import judged_alike
from gbench.records.record import RunRecord, read
from gbench.train.metrics import score

Composed = Callable[..., Config]
Trained = Callable[..., tuple[RunRecord, Path]]

JUDGE = """
import torch
from own_help import factor
def right(logits, y):
    return 100 * (logits.argmax(-1) == y).double().mean()
def entropy(logits, y, times=1):
    return -times * logits.log_softmax(-1)[torch.arange(len(y)), y]
"""


@pytest.fixture
def judged(mine: Path) -> Callable[..., str]:
    """Write own_judge.py and a dataset `judged` whose YAML has these facts; the word for it."""

    def write(code: str = JUDGE, **facts: Any) -> str:
        (mine / "own_judge.py").write_text(code)
        sys.modules.pop("own_judge", None)
        text = (mine / "data" / "owndata.yaml").read_text()
        said = {"metric": "own_judge.right", "direction": "max"} | facts
        for key in ("metric: own_data.share", "direction: max", "loss: cross-entropy"):
            fact = key.partition(":")[0]
            value = said.pop(fact, key.partition(": ")[2])
            text = text.replace(key, f"{fact}: {value}" if value else f"licence_{fact}: none")
        extra = "".join(f", {key}: {value}" for key, value in said.items())
        text = text.replace("citation: none", f"citation: none{extra}")
        (mine / "data" / "judged.yaml").write_text(text)
        return "data=judged"

    return write


def test_a_metric_of_ones_own_judges_in_its_own_unit(trained: Trained, judged: Any) -> None:
    record, folder = trained(judged())
    known, _ = trained("data=owndata")
    assert (record.metric, record.direction) == ("own_judge.right", "max")
    assert record.valid == pytest.approx(100 * known.valid)
    assert record.test == pytest.approx(100 * known.test)
    assert (folder / "code" / "own_judge.py").is_file()


def test_a_direction_of_min_takes_the_least(trained: Trained, judged: Any) -> None:
    code = "n = []\ndef falling(logits, y):\n    n.append(1)\n    return abs(len(n) - 2)\n"
    record, _ = trained(judged(code, metric="own_judge.falling", direction="min"))
    assert (record.best_epoch, record.valid) == (2, 0.0)


def test_an_edited_metric_or_loss_is_another_row(composed: Composed, judged: Any) -> None:
    word = judged()
    one = composed(word)
    judged(JUDGE.replace("100", "10"))
    two = composed(word)
    assert one["code"]["sources"].keys() == two["code"]["sources"].keys() >= {"own_judge.py"}
    assert "own_help.py" in one["code"]["sources"]  # that it imports
    assert identity(one) != identity(two)
    lossy = composed(judged(metric="accuracy", loss="own_judge.entropy", loss_labels="classes"))
    assert "own_judge.py" in lossy["code"]["sources"]


def test_a_loss_of_ones_own_trains_with_its_options(trained: Trained, judged: Any) -> None:
    facts = {"metric": "accuracy", "loss": "own_judge.entropy", "loss_labels": "classes"}
    known, folder = trained("data=owndata", "logger=csv")
    record, own_folder = trained(judged(**facts), "logger=csv")
    assert (record.task, record.valid, record.test) == (known.task, known.valid, known.test)
    assert losses(own_folder) == pytest.approx(losses(folder))
    other, other_folder = trained(judged(**facts, loss_options="{times: 2}"), "logger=csv")
    assert other.identity != record.identity
    assert losses(other_folder)[0] == pytest.approx(2 * losses(folder)[0])
    with pytest.raises(UserError, match=r"loss: own_judge.entropy is called with .*time=1"):
        trained(judged(**facts, loss_options="{time: 1}"))


def losses(folder: Path) -> list[float]:
    with (folder / "metrics.csv").open() as file:
        return [float(row["train_loss"]) for row in csv.DictReader(file)]


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ("None", "metric own_judge.right returned a NoneType, and has to return one number"),
        ("y.float()", r"returned a Tensor of shape \(\d+,\), and has to return one number"),
        ("float('nan')", "own_judge.right returned nan on the validation part, and has to return"),
        ("logits.sum() / 0", "own_judge.right returned -?inf on the validation part"),
    ],
)
def test_what_is_no_number_is_told(
    trained: Trained, judged: Any, returned: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        trained(judged(f"def right(logits, y):\n    return {returned}\n"))


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ("0.5", r"loss own_judge.own returned a float, expected is a tensor of shape \(\d+,\) or"),
        ("logits", r"returned a tensor of shape \(\d+, 2\) for logits \(\d+, 2\) and y \(\d+,\)"),
        ("logits.detach().sum()", r"own_judge.own returned a tensor without a gradient"),
        ("logits.sum() / 0", "answers are finite, and own_judge.own makes (nan|-?inf) of them"),
    ],
)
def test_a_loss_that_is_none_is_told(
    trained: Trained, judged: Any, returned: str, message: str
) -> None:
    code = f"def own(logits, y):\n    return {returned}\n"
    with pytest.raises(UserError, match=message):
        trained(judged(code, metric="accuracy", loss="own_judge.own", loss_labels="classes"))


@pytest.mark.parametrize("which", ["metric", "loss"])
def test_a_fault_inside_is_told_by_file_and_line(trained: Trained, judged: Any, which: str) -> None:
    code = "def own(logits, y):\n    wrong = 1\n    return wrong.mean()\n"
    facts = {"metric": "own_judge.own"}
    if which == "loss":
        facts = {"metric": "accuracy", "loss": "own_judge.own", "loss_labels": "classes"}
    with pytest.raises(AttributeError) as raised:
        trained(judged(code, **facts))
    fault = fault_of(raised.value)
    assert fault.is_own and "own_judge.py, line 3, in own: AttributeError" in fault.sentence


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"metric": "own_judge.rihgt"}, "did you mean 'right'.*metric names it"),
        ({"metric": "own_jugde.right"}, "metric: own_jugde.right cannot be imported"),
        ({"direction": ""}, "judged.yaml: dataset 'judged' does not say its direction"),
        ({"metric": "accuarcy"}, r"judged.yaml, line \d: data.metric=accuarcy: unknown metric"),
        ({"metric": "accuracy", "loss": "own_judge.entropy"}, "has to say what it is for: classes"),
    ],
)
def test_a_wrong_name_is_told_before_training(
    trained: Trained, judged: Any, facts: dict[str, str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        trained(judged(**facts))
    assert not list(Path("runs").glob("*/metrics.csv"))


def test_a_misspelt_metric_is_told_before_torch_is_imported(judged: Any) -> None:
    import subprocess

    judged(metric="accuarcy")
    code = (
        "import sys; from pathlib import Path; from gbench.config.compose import compose\n"
        "try: compose(['model=gcn', 'data=judged'], [Path('mine')])\n"
        "except Exception as error: print(error, 'torch' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert "did you mean 'accuracy'" in said and said.endswith("False\n")


def test_balanced_weights_are_those_of_the_training_labels(mine: Path, judged: Any) -> None:
    """The same whatever the labels of validation and test are."""
    from gbench.config.compose import compose

    word = judged(metric="accuracy", loss_options="{weights: balanced}")
    config = compose(["model=gcn", word], [Path("mine")])
    dataset = _loaded(config)
    labels = dataset.store.y[dataset.split.train]
    counts = torch.bincount(labels, minlength=2).double()
    expected = (len(labels) / (2 * counts)).tolist()
    assert dataset.card.loss_options["weights"] == pytest.approx(expected)
    assert config["data"]["loss_options"] == {"weights": "balanced"}


def _loaded(config: Config) -> Dataset:
    return load(DataCard.from_config(config["data"]), Path("data"), Path("cache"))


FOLDER = {
    "nodes.csv": "id,label,x\n" + "".join(f"{i},{'ab'[i % 2]},{i % 2}\n" for i in range(40)),
    "edges.csv": "source,target\n" + "".join(f"{i},{(i + 2) % 40}\n" for i in range(40)),
}


def folder(about: str, **files: str) -> str:
    place = Path("graph")
    place.mkdir(exist_ok=True)
    for name, text in {**FOLDER, "dataset.yaml": about, **files}.items():
        (place / name).write_text(text)
    return "data.path=graph"


def test_a_folder_names_its_own_metric_and_loss(trained: Trained, judged: Any) -> None:
    judged()
    about = "metric: own_judge.right\ndirection: max\nloss: own_judge.entropy\n"
    record, kept = trained("data=folder", folder(about))
    assert record.metric == "own_judge.right" and record.test == 100
    assert (kept / "code" / "own_judge.py").is_file()
    assert record.config["data"]["loss_labels"] == "classes"
    options = "loss: focal\nloss_options: {gamma: 1}\nmetric: f1-macro\n"
    record, _ = trained("data=folder", folder(options))
    assert (record.metric, record.direction, record.test) == ("f1-macro", "max", 1)


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ("metric: own_judge.right", "metric own_judge.right is your own: write direction: max or"),
        ("loss: l1", "loss l1 is for numbers, not for classes"),
        (
            "loss: focal\nloss_options: {gama: 1}",
            "loss_options.gama=1: unknown option",
        ),
        ("metric: spearman", "metric=spearman: it is for numbers"),
        ("direction: min", "direction=min: it would choose the worst accuracy"),
    ],
)
def test_what_is_wrong_in_a_folder_is_told_by_its_file(
    composed: Composed, about: str, message: str
) -> None:
    with pytest.raises(UserError, match=f"graph/dataset.yaml: {message}"):
        composed("data=folder", folder(about))


@pytest.mark.parametrize(
    ("metric", "loss"), [("", "l1"), ("r2", "mse"), ("spearman", "mse"), ("rmse", "mse")]
)
def test_a_folder_has_the_usual_loss_of_its_metric(
    composed: Composed, metric: str, loss: str
) -> None:
    nodes = "id,label,x\n" + "".join(f"{i},{i / 7},{i % 2}\n" for i in range(40))
    about = f"metric: {metric}\n" if metric else "task: regression\n"
    config = composed("data=folder", folder(about, **{"nodes.csv": nodes}))
    assert config["data"]["loss"] == loss


# --- trainer.also -------------------------------------------------------------------------------

ALSO = "trainer.also=[f1-macro,ece,own_judge.right]"


def test_other_metrics_are_told_and_change_nothing(trained: Trained, judged: Any) -> None:
    judged()
    plain, before = trained("logger=csv")
    told, folder = trained(ALSO, "logger=csv", "runs_dir=others")
    assert told.identity == plain.identity and folder.name == before.name
    assert (told.valid, told.test, told.best_epoch) == (plain.valid, plain.test, plain.best_epoch)
    assert [*told.also] == ["f1-macro", "ece", "own_judge.right"] and not plain.also
    assert told.also["own_judge.right"] == pytest.approx(
        {"valid": 100 * told.valid, "test": 100 * told.test}
    )
    rows = list(csv.DictReader((folder / "metrics.csv").open()))
    curve = [float(row["valid_own_judge.right"]) for row in rows]
    assert curve == pytest.approx([100 * float(row["valid"]) for row in rows])
    assert float(rows[told.best_epoch - 1]["valid_ece"]) == told.also["ece"]["valid"]
    assert RunRecord.from_json(told.to_json()) == told
    assert told.config["code"]["beside"].keys() == {"own_help.py", "own_judge.py"}


def test_a_finished_run_says_what_it_has_not(
    trained: Trained, composed: Composed, judged: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    judged()
    trained("runs_dir=runs")
    words = ["model=own", "data=csbm", "trainer=cpu", "trainer.max_epochs=3", "optim.lr=0.1"]
    assert main(["train", "--config-dir", "mine", *words, "logger=none", ALSO]) == 0
    said = capsys.readouterr().err
    assert "Its record has no f1-macro, ece, own_judge.right, which trainer.also asks" in said


def test_a_metric_of_other_code_is_not_told_as_that_of_this(
    trained: Trained, judged: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    judged()
    first, _ = trained("trainer.also=[own_judge.right]", "runs_dir=runs")
    assert have_told([first], "own_judge.right")
    judged("def right(logits, y):\n    return 1.0\n")
    words = ["model=own", "data=csbm", "trainer=cpu", "trainer.max_epochs=3", "optim.lr=0.1"]
    words += ["--config-dir", "mine", "logger=none", "trainer.also=[own_judge.right,ece]"]
    for seeds in ("seed=0", "seed=0,1"):  # one run, and a sweep
        assert main(["train", *words, seeds]) == 0
        said = " ".join(capsys.readouterr().err.split())
        assert "own_judge.right of the code as it is now" in said and "ece" in said
    second = read(next(Path("runs").glob("*-s1-*/record.json")))
    assert second.identity == first.identity and second.also["own_judge.right"]["test"] == 1
    assert not have_told([first, second], "own_judge.right")
    assert math.isnan(told([first, second], "own_judge.right", "test").mean)
    assert have_told([second, second], "own_judge.right")
    codes = ("sources", "sources"), ("sources", "beside"), ("beside", "beside")
    for parts in codes:  # a model that imports the metric's module counts it among its own
        said = zip(parts, "ab", strict=True)
        two = [{"code": {part: {"own_judge.py": d, "net.py": d}}} for part, d in said]
        assert not judged_alike(two, "own_judge.right") and judged_alike(two, "ece")
    two = [{"code": {"sources": {"net.py": d}, "beside": {"own_judge.py": "c"}}} for d in "ab"]
    assert judged_alike(two, "own_judge.right")  # another model's code is no other metric


def test_a_metric_that_gives_no_number_is_nan_beside_the_others(
    trained: Trained, judged: Any
) -> None:
    judged("def right(logits, y):\n    return float('nan')\n")
    record, _ = trained("trainer.also=[own_judge.right]")
    assert math.isnan(record.also["own_judge.right"]["test"]) and record.test >= 0


@pytest.mark.parametrize(
    ("also", "message"),
    [
        ("[mae]", "trainer.also=mae: it is for numbers, and the labels of csbm are those of loss"),
        ("[f1]", "trainer.also=f1: unknown metric 'f1'"),
        ("[accuracy]", "trainer.also=accuracy: it is tracked already, as the metric of csbm"),
        ("[ece,ece]", "trainer.also=ece: it is tracked already"),
        ("[1]", r"trainer.also=\[1\]: expected names of metrics"),
        ("ece", r"trainer.also=ece: expected a list, such as \[A,B\]"),
        ("[hits@20]", "trainer.also=hits@20: it is for links"),
    ],
)
def test_what_cannot_be_tracked_is_refused(composed: Composed, also: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        composed(f"trainer.also={also}")


def test_an_exported_card_judges_as_the_run_did() -> None:
    """A card read from a config has all that `score` needs."""
    card = DataCard.from_config(
        {"name": "x", "_target_": "a.b", "level": "node", "loss": "bce", "metric": "mcc",
         "direction": "max", "split": "", "num_folds": 1, "fold": 0, "source": "", "licence": "",
         "citation": ""}
    )  # fmt: skip
    y = torch.tensor([[1.0], [0.0], [1.0]])
    assert score(card, 2 * y - 1, y) == 1.0
