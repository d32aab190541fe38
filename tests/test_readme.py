"""What the README shows is run as it stands there."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from gbench.build import build_task
from gbench.cli.main import VERBS, main, parse
from gbench.config.compose import compose
from gbench.errors import UserError
from gbench.sweep.points import compose_all
from gbench.sweep.words import take_options

README = (Path(__file__).resolve().parent.parent / "README.md").read_text()
GBENCH = Path(sys.executable).parent / "gbench"
COMMANDS = [
    line.split("#")[0].strip()
    for block in re.findall(r"^```\n(.*?)^```", README, re.M | re.S)
    for line in block.splitlines()
    if line.startswith("gbench ") and "--config-dir" not in line
]


def block(language: str, after: str) -> str:
    """The first code block of a language behind a file's name."""
    text = README[README.index(f"`{after}`") :]
    found = re.search(rf"^```{language}\n(.*?)^```", text, re.M | re.S)
    assert found
    return found[1]


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder with the README's model and dataset in it."""
    folder = tmp_path_factory.mktemp("user")
    for name in ("mymodel.py", "model/mymodel.yaml", "rings.py", "data/rings.yaml"):
        path = folder / "mine" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = block("yaml" if name.endswith("yaml") else "python", f"mine/{name}")
        assert len(text.splitlines()) <= 15
        path.write_text(text)
    return folder


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        ("gbench train --config-dir mine model=mymodel", ["trainer.max_epochs=1"]),
        ("gbench train --config-dir mine data=rings model=gin", []),
    ],
)
def test_a_model_and_a_dataset_of_ones_own(mine: Path, command: str, extra: list[str]) -> None:
    (line,) = [line for line in README.splitlines() if line.startswith(command)]
    answer = subprocess.run(
        [GBENCH, *shlex.split(line)[1:], *extra, "--json"], cwd=mine, capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stderr
    record = json.loads(answer.stdout)
    again = subprocess.run(
        [GBENCH, "eval", record["run"], "--json"], cwd=mine, capture_output=True, text=True
    )
    assert json.loads(again.stdout)["test"] == pytest.approx(record["test"]), again.stderr


def test_a_model_that_chooses_its_encoding(mine: Path) -> None:
    (mine / "mine/model/walks.yaml").write_text(block("yaml", "mine/model/walks.yaml"))
    words = ["model=walks", "data=csbm"]
    config = compose([*words, "model.hidden_dim=8"], [mine / "mine"])
    assert config["encoding"]["name"] == "lappe+rwse"
    assert config["encoding"]["rwse"]["steps"] == 16
    with pytest.raises(UserError, match=r"model.hidden_dim: has to be given"):
        compose(words, [mine / "mine"])


def test_a_teacher_of_a_model_of_ones_own(mine: Path) -> None:
    text = block("python", "mine/student.py")
    assert len(text.splitlines()) < 20
    (mine / "mine/student.py").write_text(text)
    model = block("yaml", "mine/model/mymodel.yaml").replace("mymodel.MyModel", "student.Student")
    assert "levels: [graph]" in model
    (mine / "mine/model/student.yaml").write_text(model.replace("[graph]", "[node]"))
    start = "gbench train --config-dir mine model=student"
    (line,) = [line for line in README.splitlines() if line.startswith(start)]
    words, records = ["trainer.max_epochs=2", "--json"], []
    for command in ("gbench train model=gcn data=csbm", line):
        if records:
            command = re.sub("run:.*", f"run:{records[0]['run'].split('-s0')[0]}", command)
        answer = subprocess.run(
            [GBENCH, *shlex.split(command)[1:], *words], cwd=mine, capture_output=True, text=True
        )
        assert answer.returncode == 0, answer.stderr
        records.append(json.loads(answer.stdout))
    curve = (mine / "runs" / records[1]["run"] / "metrics.csv").read_text()
    assert curve.startswith("step,train_loss,train_told,valid,")


def test_a_model_with_features_of_edges(mine: Path) -> None:
    code = block("python", "mine/gine.py")
    assert len(code.splitlines()) < 20
    (mine / "mine/gine.py").write_text(code)
    (mine / "mine/lengths.py").write_text(block("python", "mine/lengths.py"))
    (mine / "mine/data/lengths.yaml").write_text("defaults: [rings]\n_target_: lengths.load\n")
    model = block("yaml", "mine/model/mymodel.yaml").replace("mymodel.MyModel", "gine.GINE")
    (mine / "mine/model/gine.yaml").write_text(model)
    start = "gbench train --config-dir mine model=gine"
    (line,) = [line for line in README.splitlines() if line.startswith(start)]
    words = [*shlex.split(line)[1:], "trainer.max_epochs=2"]
    answer = subprocess.run([GBENCH, *words], cwd=mine, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert "does not use" not in answer.stdout + answer.stderr


def test_a_batching_of_ones_own(mine: Path) -> None:
    (mine / "mine/balanced.py").write_text(block("python", "mine/batching/balanced.yaml"))
    (mine / "mine/batching").mkdir()
    (mine / "mine/batching/balanced.yaml").write_text(
        "# as many of each class\n_target_: balanced.Balanced\n"
        "fan_outs: [10, 10]\nnodes_per_batch: 64\nworkers: 2\n"
    )
    words = "train --config-dir mine model=gcn data=csbm batching=balanced trainer.max_epochs=2"
    answer = subprocess.run([GBENCH, *words.split()], cwd=mine, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr


def test_a_metric_and_a_loss_of_ones_own(mine: Path) -> None:
    (mine / "mine/judges.py").write_text(block("python", "mine/judges.py"))
    (mine / "mine/data/judged.yaml").write_text(block("yaml", "mine/data/judged.yaml"))
    (line,) = [
        x for x in README.splitlines() if x.startswith("gbench train --config-dir mine data=j")
    ]
    words = [*shlex.split(line)[1:], "--json"]
    answer = subprocess.run([GBENCH, *words], cwd=mine, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    record = json.loads(answer.stdout)
    assert record["metric"] == "judges.kappa" and [*record["also"]] == ["accuracy", "mcc"]
    assert (mine / "runs" / record["run"] / "code/judges.py").exists()


def test_an_optimizer_and_rules_of_ones_own(mine: Path) -> None:
    (mine / "mine/rules.py").write_text(block("python", "mine/rules.py"))
    start = "gbench train --config-dir mine optim.optimizer=rules."
    (line,) = [line for line in README.splitlines() if line.startswith(start)]
    words = [*shlex.split(line)[1:], "data=csbm", "model=gcn", "optim.lr=0.1", "--json"]
    answer = subprocess.run([GBENCH, *words], cwd=mine, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    record = json.loads(answer.stdout)
    assert record["epochs"] < 100
    assert (mine / "runs" / record["run"] / "code/rules.py").exists()


@pytest.mark.parametrize("words", ["model=mymodel", "data=rings", "encoding=degree"])
def test_what_the_readme_makes_holds_what_a_result_rests_on(
    words: str, mine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(mine)
    (mine / "mine" / "encoding").mkdir(exist_ok=True)
    (mine / "mine" / "encoding" / "degree.yaml").write_text("# d\n_target_: degrees.log_degree\n")
    (mine / "mine" / "degrees.py").write_text(block("python", "mine/encoding/degree.yaml"))
    assert f"gbench check --config-dir mine {words}" in README
    assert main(["check", "--config-dir", "mine", words]) == 0, capsys.readouterr().out


def test_an_encoding_of_pairs_of_ones_own(
    mine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = block("python", "mine/encoding/alike.yaml")
    assert len(code.splitlines()) <= 10
    (mine / "mine" / "encoding").mkdir(exist_ok=True)
    (mine / "mine" / "encoding" / "alike.yaml").write_text(
        "# d\n_target_: alike.same_degree\nvalues: pairs\n"
    )
    (mine / "mine" / "alike.py").write_text(code)
    monkeypatch.chdir(mine)
    words = ["check", "--config-dir", "mine", "encoding=alike"]
    assert main(words) == 0, capsys.readouterr().out
    config = compose(["data=csl", "model=gin", "encoding=alike"], [mine / "mine"])
    dataset = build_task({**config, "cache_dir": str(mine)}).dataset
    assert dataset.spec.pair_dim == 1
    assert bool((dataset.store.pair_values == 1).all())  # all nodes of CSL have four neighbours


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_one_that_gbench_understands(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mygraphs = tmp_path / "mygraphs"
    mygraphs.mkdir()
    (mygraphs / "nodes.csv").write_text("id,label\n" + "".join(f"{i},{i % 2}\n" for i in range(10)))
    (mygraphs / "edges.csv").write_text("source,target\n0,1\n1,2\n")
    monkeypatch.chdir(tmp_path)
    optional = re.sub(r"(?<!=)\[(.*?)\]", r"\1", command)  # [words], but no list of values
    words = shlex.split(optional.replace("...", ""))[1:]
    words = [word.split("|")[0] for word in words]
    assert words[0] in VERBS
    args = parse(words)
    if words[0] == "show":
        compose(args.overrides)
    if words[0] == "train":
        compose_all(take_options(args.overrides)[1])


def test_every_make_target_exists() -> None:
    makefile = (Path(__file__).resolve().parent.parent / "Makefile").read_text()
    for target in re.findall(r"`?make ([a-z-]+)", README):
        assert re.search(rf"^{target}:", makefile, re.M), target
