"""Runs of floors from the command line: the record, the folder, the table, and what is refused."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from gbench.cli.main import main
from gbench.config.compose import compose
from gbench.config.floors import floors
from gbench.errors import UserError
from gbench.records.folder import RECORD
from gbench.records.record import RunRecord, read

NODES = ("data=csbm", "data.num_nodes=200")


def train(runs: Path, *words: str) -> list[RunRecord]:
    assert main(["train", *words, f"runs_dir={runs}"]) == 0
    return [read(path) for path in sorted(runs.glob(f"*/{RECORD}"))]


def test_a_run_leaves_what_a_run_leaves(tmp_path: Path, capsys) -> None:
    (record,) = train(tmp_path, "model=label-propagation", *NODES, "trainer.also=[f1-macro]")
    folder = tmp_path / record.run
    with (folder / "metrics.csv").open(newline="") as file:
        rows = [*csv.DictReader(file)]
    valid = [float(row["valid"]) for row in rows]
    best = valid.index(max(valid))  # of equal ones the first
    assert record.is_floor and record.selection == "best-validation"
    assert (record.epochs, record.best_epoch) == (len(rows), best + 1)
    assert record.valid == max(valid) and record.num_parameters == 0
    assert rows[best]["setting"] == " ".join(f"{k}={v}" for k, v in record.chosen.items())
    assert record.also["f1-macro"]["valid"] == float(rows[best]["valid_f1-macro"])
    assert "scikit-learn" in record.versions and not (folder / "best.ckpt").exists()
    assert {"optim", "batching", "encoding"}.isdisjoint(record.config)
    said = capsys.readouterr().err
    assert "no network" in said and rows[best]["setting"] in said

    assert main(["eval", str(folder), "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert (again["valid"], again["test"]) == (record.valid, record.test)
    assert main(["resume", str(folder)]) == 0
    assert "has finished before" in capsys.readouterr().err
    assert main(["export", str(folder)]) == 2
    assert "is no network: there is no training to write" in capsys.readouterr().err
    assert main(["leaderboard", str(tmp_path)]) == 0
    assert "no network" in capsys.readouterr().out
    assert main(["predict", str(folder), "--output", str(tmp_path / "p.csv")]) == 0
    with (tmp_path / "p.csv").open(newline="") as file:
        predicted = [*csv.DictReader(file)]
    hits = [row["true"] == row["predicted"] for row in predicted]
    assert sum(hits) / len(hits) == pytest.approx(record.test)


def test_a_sweep_of_seeds_gives_one_value_and_a_standard_deviation_of_0(
    tmp_path: Path, capsys
) -> None:
    records = train(tmp_path, "model=lookup", "data=csl", "seeds=3", "jobs=1")
    assert len({record.identity for record in records}) == 1 and len(records) == 3
    assert len({record.test for record in records}) == 1
    assert "of a fold every seed gives the row of seed 0" in capsys.readouterr().err
    assert main(["leaderboard", str(tmp_path), "--format", "json"]) == 0
    assert capsys.readouterr().out


def test_force_tries_again_and_keeps_the_old_run(tmp_path: Path) -> None:
    (first,) = train(tmp_path, "model=lookup", *NODES)
    assert main(["train", "model=lookup", *NODES, f"runs_dir={tmp_path}", "--force"]) == 0
    (old,) = (tmp_path / "replaced").glob(f"*/{RECORD}")
    assert read(old).test == first.test == read(tmp_path / first.run / RECORD).test


def test_where_the_test_part_validates_it_is_told(tmp_path: Path, capsys) -> None:
    words = ("model=lookup", "data=csl", "data.split=mixer-5-fold-selects-on-test")
    (record,) = train(tmp_path, *words)
    assert record.valid == record.test
    assert "validates on what it tests" in capsys.readouterr().err


def test_weights_of_edges_that_a_table_of_nodes_does_not_read_are_told(
    tmp_path: Path, capsys
) -> None:
    folder = tmp_path / "weighted"
    folder.mkdir()
    nodes = "".join(f"{i},{'ab'[i % 2]},{i % 5}\n" for i in range(40))
    edges = "".join(f"{i},{(i + 1) % 40},{i / 7}\n" for i in range(40))
    (folder / "nodes.csv").write_text(f"id,label,x\n{nodes}")
    (folder / "edges.csv").write_text(f"source,target,weight\n{edges}")
    train(tmp_path / "runs", "model=lookup", "data=folder", f"data.path={folder}")
    told = " ".join(capsys.readouterr().err.split())
    assert "model lookup does not use the edge weights" in told


@pytest.mark.parametrize(
    "word",
    ["optim.lr=0.1", "optim.batch_size=32", "trainer.max_epochs=100", "trainer=gpu",
     "encoding=rwse", "batching=neighbours", "trainer.limit_batches=2", "trainer=debug",
     "init_from=run:x"],
)  # fmt: skip
def test_what_a_floor_does_not_read_is_refused(word: str) -> None:
    with pytest.raises(UserError, match=r"is no network and does not read it"):
        compose(["model=lookup", "data=cora", word])


@pytest.mark.parametrize("word", ["trainer=cpu", "trainer=auto", "transform=knn", "seed=3"])
def test_what_says_something_to_a_floor_is_taken(word: str) -> None:
    assert compose(["model=lookup", "data=cora", word])["trainer"]["accelerator"] == "cpu"


def test_a_floor_that_cannot_do_the_level_names_those_that_can() -> None:
    for name, data, fit in (
        ("counts", "cora", "label-propagation, logistic, lookup"),
        ("label-propagation", "csl", "counts, logistic, lookup"),
        ("lookup", "ogbl-ddi", "common-neighbours"),
    ):
        with pytest.raises(UserError, match=f"methods without a network that fit are {fit}$"):
            compose([f"model={name}", f"data={data}"])
    with pytest.raises(UserError) as caught:  # a network's sentence names networks
        compose(["model=sgc", "data=csl"])
    assert not any(f" {name}," in str(caught.value) for name in floors())


def test_a_run_without_weights_is_no_teacher(tmp_path: Path) -> None:
    (record,) = train(tmp_path, "model=lookup", *NODES)
    words = ["model=glnn", *NODES, f"runs_dir={tmp_path}", f"++model.teacher=run:{record.run}"]
    with pytest.raises(UserError, match="which a method without a network never has"):
        compose(words)


def test_a_class_that_is_no_floor_is_refused(tmp_path: Path, capsys) -> None:
    (tmp_path / "model").mkdir()
    target = "_target_: gbench.models.sgc.SGC, levels: [node], hops: 2, is_network: false"
    text = f"# @package _global_\n# mine\nmodel: {{{target}}}\n"
    (tmp_path / "model" / "mine.yaml").write_text(text)
    words = ["train", "model=mine", *NODES, f"runs_dir={tmp_path / 'runs'}"]
    assert main([*words, "--config-dir", str(tmp_path)]) == 2
    assert "has to be a gbench.floors.floor.Floor" in capsys.readouterr().err
