"""gbench predict and gbench errors, on a run of the data that gbench generates."""

import csv
import io
import json
import os
import shutil

import numpy as np
import pytest

from gbench.cli.completion import candidates
from gbench.cli.main import VERBS, main
from gbench.predictions import write
from gbench.records import mistakes as kept


@pytest.fixture(scope="module")
def finished(trained, tmp_path_factory):
    """A folder with runs/NAME of one finished run, and the record."""
    folder = tmp_path_factory.mktemp("predicted")
    shutil.copytree(trained[0] / "runs", folder / "runs")
    (path,) = folder.glob("runs/*/record.json")
    return folder, path.parent.name, json.loads(path.read_text())


@pytest.fixture
def here(finished, monkeypatch):
    monkeypatch.chdir(finished[0])
    monkeypatch.setenv("COLUMNS", "80")
    return finished


def refused(capsys, *words):
    """What gbench says, in one line, of something for the user to mend."""
    assert main([*words]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    return said.err


def test_a_line_for_each_item_goes_to_stdout(here, capsys):
    _, name, record = here
    assert main(["predict", name]) == 0
    rows = [*csv.DictReader(io.StringIO(capsys.readouterr().out))]
    assert np.mean([row["true"] == row["predicted"] for row in rows]) == pytest.approx(
        record["test"], abs=1e-6
    )
    assert [*rows[0]] == [
        "item", "id", "split", "true", "predicted", "p_0", "p_1", "fold", "seed", "run",
    ]  # fmt: skip


def test_files_hold_the_same_and_are_never_overwritten(here, capsys):
    _, name, record = here
    for ending in ("csv", "npz"):
        assert main(["predict", name, "--split", "valid", "--output", f"p.{ending}"]) == 0
        assert capsys.readouterr().out == f"p.{ending}\n"
    arrays = np.load("p.npz")
    assert np.mean(arrays["true"] == arrays["predicted"]) == pytest.approx(record["valid"])
    with open("p.csv", newline="") as file:  # noqa: PTH123
        rows = [*csv.DictReader(file)]
    read = [[float(row["p_0"]), float(row["p_1"])] for row in rows]
    assert (np.array(read) == arrays["scores"]).all(), "every digit is there"
    assert [row["id"] for row in rows] == arrays["ids"].tolist()
    assert "p.csv is there already: give --output another name" in refused(
        capsys, "predict", name, "--output", "p.csv"
    )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--split", "tests"], "unknown split 'tests': did you mean 'test'?"),
        (["--output", "p.xlsx"], "--output p.xlsx: what is .xlsx? There are .csv .parquet .npz"),
        (["--output", "p"], "--output p: its name has no ending"),
        (["--output", "nowhere/p.csv"], "cannot write nowhere/p.csv: there is no folder nowhere"),
        (["--data", "new", "--split", "all"], "--data new is predicted whole: leave --split out"),
        (["--data", "nowhere"], "nowhere: there is no such folder or file"),
    ],
)
def test_bad_input_is_one_sentence(here, capsys, words, says):
    assert says in refused(capsys, "predict", here[1], *words)


@pytest.mark.parametrize("verb", ["predict", "errors"])
def test_runs_that_cannot_be_asked_say_why(here, capsys, verb, tmp_path):
    _, name, _ = here
    assert "unknown run 'csbm-gnc'. available: csbm-gcn-" in refused(capsys, verb, "csbm-gnc")
    copy = tmp_path / name
    shutil.copytree(f"runs/{name}", copy)
    assert f"{name} is given twice" in refused(capsys, verb, name, str(copy))
    (copy / "best.ckpt").unlink()
    assert f"{copy} has no best.ckpt" in refused(capsys, verb, str(copy))
    (copy / "record.json").unlink()
    assert "has not finished: gbench resume" in refused(capsys, verb, str(copy))


def test_parquet_says_what_to_install(here, capsys, monkeypatch):
    monkeypatch.setattr(write, "find_spec", lambda name: None)
    assert "pip install pyarrow" in refused(capsys, "predict", here[1], "--output", "p.parquet")


def test_an_interrupted_file_is_not_there(here, capsys, monkeypatch, tmp_path):
    def interrupted(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    assert main(["predict", here[1], "--output", str(tmp_path / "p.csv")]) == 130
    assert not [*tmp_path.iterdir()]


def test_errors_are_shown_in_80_letters_and_kept_for_the_page(here, capsys):
    folder, name, record = here
    assert main(["errors", name]) == 0
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    for title in ("by class", "labels (rows) and answers", "accuracy by degree",
                  "accuracy by homophily", "calibration: ECE", "wrong in the run"):  # fmt: skip
        assert title in said
    found = kept.read(folder / "runs" / name, record["finished"])
    counts = np.array(found.confusion)
    assert counts.trace() / counts.sum() == pytest.approx(record["test"], abs=1e-6)


def test_errors_as_json_have_all_of_it(here, capsys):
    _, name, record = here
    assert main(["errors", name, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["runs"] == [name]
    right = found["items"] - len(found["wrong"])
    assert right / found["items"] == pytest.approx(record["test"], abs=1e-6)
    degrees = next(g for g in found["groups"] if g["name"] == "degree")["bins"]
    assert sum(b["items"] for b in degrees) == found["items"]
    total = sum(b["score"] * b["items"] for b in degrees) / found["items"]
    assert total == pytest.approx(record["test"], abs=1e-6)


def test_runs_and_splits_are_completed(here):
    _, name, _ = here
    assert candidates(["predict", ""], VERBS) == [name]
    assert candidates(["errors", name[:4]], VERBS) == [name]
    assert candidates(["predict", name, "--split", "t"], VERBS) == ["test", "train"]
    assert candidates(["err"], VERBS) == ["errors"]
