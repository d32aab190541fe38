"""gbench errors of every kind of labels: what is told is of this run, and fits 80 letters."""

import json
import shutil

import numpy as np
import pytest
from rich.console import Console

from gbench.cli.errors_shown import show
from gbench.errors import UserError
from gbench.predictions.examine import examine
from gbench.predictions.predict import predict
from gbench.predictions.together import ensemble
from gbench.records.record import finite

GIN = ("model=gin", "model.hidden_dim=8", "model.num_layers=2")


def told(report, tmp_path):
    """What the terminal shows; as JSON it has to be writable too."""
    json.dumps(finite(report.plain()), allow_nan=False)
    with (tmp_path / "shown.txt").open("w") as file:
        show(report, Console(file=file, width=80, highlight=False))
    text = (tmp_path / "shown.txt").read_text()
    assert max(map(len, text.splitlines())) <= 80, text
    return text


def recorded(folder):
    return json.loads((folder / "record.json").read_text())["test"]


def test_tasks(trained, rings, tmp_path):
    folder = trained(*GIN, "data=folder", f"data.path={rings('tasks')}", "data.fold=1")
    report = examine([folder])
    areas = [t.rocauc for t in report.tasks if not np.isnan(t.rocauc)]
    assert np.mean(areas) == pytest.approx(recorded(folder))
    text = told(report, tmp_path)
    assert "by task" in text
    assert "accuracy by nodes" in text
    assert "calibration: ECE" in text


def test_numbers(trained, rings, tmp_path):
    folder = trained(*GIN, "data=folder", f"data.path={rings('numbers')}", "data.fold=0")
    report = examine([folder])
    total = sum(r.mean_absolute * r.labelled for r in report.residuals)
    assert total / sum(r.labelled for r in report.residuals) == pytest.approx(recorded(folder))
    text = told(report, tmp_path)
    assert "mean |error| by nodes" in text
    assert "largest: " in text


def test_links(trained, own_pairs, tmp_path):
    folder = trained("model=gcn", "data=own_pairs", config_dirs=(own_pairs,))
    report = examine([folder])
    assert report.tasks[0].rocauc == pytest.approx(recorded(folder))
    assert "22 pairs" in told(report, tmp_path)


def test_nodes_over_folds(trained, people, tmp_path):
    words = ("model=gcn", "data=folder", f"data.path={people}")
    folders = [trained(*words, f"data.fold={fold}") for fold in (0, 2)]
    report = examine(folders)
    given = [predict(folder) for folder in folders]
    assert report.answers == sum(map(len, given))
    assert report.items == len(np.union1d(given[0].items, given[1].items))
    assert sum(map(sum, report.confusion)) == report.answers
    right = sum(row[k] for k, row in enumerate(report.confusion))
    assert right == sum(p.is_right.sum() for p in given)
    assert all((folder / "errors.json").is_file() for folder in folders)
    assert "2 runs" in told(report, tmp_path)
    assert len(ensemble(given).frame()) == report.items


def test_a_floor_is_asked_as_a_network_is(trained, people, tmp_path):
    words = ("data=folder", f"data.path={people}", "data.fold=2")
    folder = trained("model=lookup", *words)
    given = predict(folder)
    assert given.is_right.mean() == pytest.approx(recorded(folder))
    np.testing.assert_allclose(given.scores.sum(axis=1), 1)
    assert predict(trained("model=gcn", *words)).items.tolist() == given.items.tolist()
    told(examine([folder]), tmp_path)
    with pytest.raises(UserError, match="lookup is no network"):
        predict(folder, data=people)


def test_changed_code_has_to_be_chosen(trained, own_pairs, tmp_path):
    own = tmp_path / "own"
    shutil.copytree(own_pairs, own)
    folder = trained("model=gcn", "data=own_pairs", "seed=7", config_dirs=(own,))
    before = predict(folder)
    path = own / "own_pairs.py"
    path.write_text(path.read_text().replace("city", "town"))
    for ask in (predict, lambda one: examine([one])):
        with pytest.raises(UserError, match=r"own_pairs.py has changed.*--code=kept"):
            ask(folder)
    kept = predict(folder, code="kept")
    assert [*kept.ids] == [*before.ids]
    np.testing.assert_array_equal(kept.scores, before.scores)
