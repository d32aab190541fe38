"""`gbench compare A B --items` on runs that training left, and rows by the names users type."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from gbench.cli.main import main
from gbench.config.compose import compose
from gbench.errors import UserError
from gbench.interface.running import run as gbench_run
from gbench.paired.comparison import compared, paired, refuse_others
from gbench.paired.rows import Row, row
from gbench.predictions.predictions import Predictions
from gbench.records.record import RunRecord, read, write

FEW = ("trainer.max_epochs=4",)


@pytest.fixture(scope="module")
def runs_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of one setting and one of another on a small graph, trained here."""
    folder = tmp_path_factory.mktemp("paired") / "runs"
    for words in (("model=gcn", "seed=0"), ("model=gcn", "seed=1"), ("model=sgc", "seed=0")):
        gbench_run(*words, "data=csbm", *FEW, runs_dir=folder, quiet=True)
    return folder


def setting(runs_dir: Path, model: str) -> str:
    return next(path.name for path in runs_dir.glob(f"csbm-{model}-*-s0-f0"))[: -len("-s0-f0")]


def said(runs_dir: Path, *words: str, capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    assert main(["compare", *words, "--items", "--json", "--runs", str(runs_dir)]) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_one_run_against_another(runs_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = f"{setting(runs_dir, 'gcn')}-s0-f0", f"{setting(runs_dir, 'sgc')}-s0-f0"
    found = said(runs_dir, a, b, capsys=capsys)
    records = [read(runs_dir / name / "record.json") for name in (a, b)]
    table, bootstrap = found["mcnemar"], found["bootstrap"]
    assert (found["a"], found["b"], found["num_pairs"]) == ([a], [b], 1)
    assert bootstrap["a"] == pytest.approx(records[0].test)
    assert bootstrap["b"] == pytest.approx(records[1].test)
    size = found["num_items"]
    assert table["both"] + table["only_a"] == pytest.approx(size * records[0].test)
    assert table["both"] + table["only_b"] == pytest.approx(size * records[1].test)
    assert sum(table[name] for name in ("both", "only_a", "only_b", "neither")) == size == 400
    assert bootstrap["low"] <= bootstrap["difference"] <= bootstrap["high"]
    assert (bootstrap["resamples"], bootstrap["seed"]) == (10_000, 0)
    assert found["runs"]["test"] == "none"


def test_a_setting_is_all_its_runs(runs_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gcn, sgc = setting(runs_dir, "gcn"), setting(runs_dir, "sgc")
    found = said(runs_dir, gcn, sgc, capsys=capsys)
    assert found["num_pairs"] == 1
    assert found["notes"] == [f"{gcn}: 1 without a partner of the same seed and fold left out"]
    assert main(["compare", gcn, gcn, "--items", "--runs", str(runs_dir)]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "400 test items, 2 pairs of runs" in text
    assert "all pairs, summed" in text
    assert "A - B +0.00 95 % over items +0.00 to +0.00, 10,000 resamples, seed 0" in text
    assert "each item once" in text
    assert "over runs +0.00 p = 1.0000, paired t test" in text


def test_names(runs_dir: Path) -> None:
    gcn = setting(runs_dir, "gcn")
    assert [*row(gcn, runs_dir).folders] == [(0, 0), (1, 0)]
    assert [*row(gcn[:-3], runs_dir).folders] == [(0, 0), (1, 0)]
    assert [*row(f"{gcn}-s1", runs_dir).folders] == [(1, 0)]
    assert row(f"{gcn}-s1", runs_dir).name == f"{gcn}-s1-f0"
    assert row(str(runs_dir / f"{gcn}-s0-f0"), Path("elsewhere")).name == f"{gcn}-s0-f0"
    assert [*row(str(runs_dir / gcn), Path("elsewhere")).folders] == [(0, 0), (1, 0)]
    with pytest.raises(UserError, match=r"'csbm' begins the names of several settings: csbm-gcn-"):
        row("csbm", runs_dir)
    with pytest.raises(UserError, match=r"unknown run 'gcn'.*did you mean|unknown run 'gcn'"):
        row("gcn", runs_dir)


def test_a_seed_that_begins_another_seeds_name(runs_dir: Path, tmp_path: Path) -> None:
    name = "csbm-gcn-0123456789"
    for seed in (1, 10, 12):
        (tmp_path / f"{name}-s{seed}").mkdir()
        (tmp_path / f"{name}-s{seed}" / "config.yaml").write_text("")
        first = read(next(runs_dir.glob("*/record.json")))
        write(replace(first, seed=seed, fold=0), tmp_path / f"{name}-s{seed}")
    (tmp_path / f"{name}-s12" / "record.json").unlink()
    (tmp_path / f"{name}-s13").mkdir()
    (tmp_path / f"{name}-s13" / "config.yaml").write_text(yaml.safe_dump(compose(["model=gcn"])))
    assert [*row(f"{name}-s1", tmp_path).folders] == [(1, 0)]
    assert [*row(name, tmp_path).folders] == [(1, 0), (10, 0)]
    assert row(name, tmp_path).unfinished == (f"{name}-s12", f"{name}-s13")
    with pytest.raises(UserError, match=r"-s13 has not finished: gbench resume"):
        row(f"{name}-s13", tmp_path)


def made_up(
    make_record: Callable[..., RunRecord], *keys: tuple[int, int], **changes: object
) -> Row:
    records = {k: make_record(seed=k[0], fold=k[1], **changes) for k in keys}
    return Row(str(changes.get("model", "gcn")), {k: Path(str(k)) for k in keys}, records)


def test_other_data_and_other_folds_are_refused(make_record: Callable[..., RunRecord]) -> None:
    a = made_up(make_record, (0, 0))
    for name, value in {"data": "citeseer", "split": "full", "metric": "mcc"}.items():
        with pytest.raises(UserError, match=rf"their {name} is .* and {value}"):
            refuse_others(a, made_up(make_record, (0, 0), **{name: value}))
    with pytest.raises(UserError, match="their fingerprint of the data is"):
        refuse_others(a, made_up(make_record, (0, 0), fingerprint="other"))
    with pytest.raises(UserError, match=r"tested on fold 0 and .* on fold 3"):
        paired(a, made_up(make_record, (0, 3)))
    with pytest.raises(UserError, match=r"share no seed and fold: seed 0 fold 0, seed 1 fold 0"):
        paired(made_up(make_record, (0, 0), (1, 0)), made_up(make_record, (2, 0), (3, 0)))


def test_who_is_held_against_whom(make_record: Callable[..., RunRecord]) -> None:
    one, other = made_up(make_record, (0, 2)), made_up(make_record, (5, 2))
    assert paired(one, other) == ([((0, 2), (5, 2))], [])
    many = made_up(make_record, (0, 1), (0, 2), (0, 3))
    pairs, notes = paired(many, made_up(make_record, (0, 2), (0, 3), model="sgc"))
    assert pairs == [((0, 2), (0, 2)), ((0, 3), (0, 3))]
    assert notes == ["gcn: 1 without a partner of the same seed and fold left out"]


def test_folds_of_regression_have_no_table(
    make_record: Callable[..., RunRecord], said: Callable[..., Predictions]
) -> None:
    a = made_up(make_record, (0, 0), (0, 1), metric="mae", test=1.0)
    b = made_up(make_record, (0, 0), (0, 1), metric="mae", test=2.0)
    true = np.zeros((6, 1))
    ours = [said("mae", "numbers", true, true + 1, items=np.arange(6) + 6 * f) for f in (0, 1)]
    theirs = [said("mae", "numbers", true, true + 2, items=np.arange(6) + 6 * f) for f in (0, 1)]
    found = compared(a, b, [*zip(ours, theirs, strict=True)])
    assert (found.items, found.pairs, found.num_items, found.num_pairs) == (None, (), 12, 2)
    assert (found.interval.low, found.interval.difference, found.interval.high) == (-1, -1, -1)
    assert (found.runs.test, found.difference_of_runs) == ("paired t", -1.0)


def test_items_without_a_label_are_left_out_and_others_are_put_in_order(
    make_record: Callable[..., RunRecord], said: Callable[..., Predictions]
) -> None:
    a, b = made_up(make_record, (0, 0)), made_up(make_record, (0, 0))
    scores = np.eye(2)[[0, 1, 1, 0]]
    ours = said("accuracy", "classes", [0, 1, 0, -1], scores)
    back = ours.rows(np.array([3, 2, 1, 0]))
    found = compared(a, b, [(ours, back)])
    assert found.notes == ("1 items without a label left out",)
    assert found.items is not None
    assert found.items == (2, 0, 0, 1)
    with pytest.raises(UserError, match="were tested on other items"):
        compared(a, b, [(ours, ours.rows(np.array([0, 1])))])


def test_two_rows_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "a", "b", "c", "--items"]) == 2
    assert "give two runs, or settings" in capsys.readouterr().err
