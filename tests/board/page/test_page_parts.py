"""The page without a browser: the front, the curves, and what the HTML holds."""

import csv
import io
import json
import math
import random
import re

import pytest

from gbench.board.page import curves
from gbench.board.page.page import html
from gbench.board.page.pareto import front
from gbench.board.tables import rows
from gbench.cli.main import main

NAN = math.nan


def beaten(costs, values, sign):
    """By definition: someone costs no more, is no worse, and is better in one of the two."""
    for c, v in zip(costs, values, strict=True):
        yield any(
            d <= c and sign * w >= sign * v and (d < c or w != v)
            for d, w in zip(costs, values, strict=True)
        )


@pytest.mark.parametrize("seed", range(20))
def test_the_front_is_what_nobody_beats(seed):
    draw = random.Random(seed)
    costs = [draw.choice([1.0, 2.0, 3.5, NAN, draw.random()]) for _ in range(40)]
    values = [draw.choice([0.5, 0.7, NAN, draw.random()]) for _ in range(40)]
    for direction, sign in (("max", 1), ("min", -1)):
        known = [not (math.isnan(c) or math.isnan(v)) for c, v in zip(costs, values, strict=True)]
        expected = {
            place
            for place, (is_known, is_beaten) in enumerate(
                zip(known, beaten(costs, values, sign), strict=True)
            )
            if is_known and not is_beaten
        }
        assert front(costs, values, direction) == expected
    assert front([], [], "max") == set()


def test_equal_points_share_the_front():
    assert front([1, 1, 2, 1], [0.5, 0.5, 0.5, 0.4], "max") == {0, 1}
    assert front([1, 1, 2, 1], [0.5, 0.5, 0.5, 0.4], "min") == {3}


def metrics(valid, loss=lambda epoch: 2 / (1 + epoch)):
    sheet = io.StringIO()
    writer = csv.writer(sheet, lineterminator="\n")
    writer.writerow(["seconds", "step", "train_loss", "train_seconds", "valid"])
    writer.writerows([0.1, e, loss(e), 0.05, value] for e, value in enumerate(valid))
    return sheet.getvalue()


@pytest.mark.parametrize("epochs", [1, 2, 199, 200, 201, 398, 399, 1000, 12345])
def test_a_curve_keeps_its_ends_and_at_most_200_points(epochs):
    thin = curves.thinned(metrics([epoch + 1 for epoch in range(epochs)]))
    assert thin["epochs"] == epochs
    at = [min(1 + place * thin["every"], epochs) for place in range(len(thin["valid"]))]
    assert thin["valid"] == [float(f"{epoch:.4g}") for epoch in at]
    assert (at[0], at[-1]) == (1, epochs)
    assert len(at) <= curves.POINTS
    assert epochs > curves.POINTS - 1 or len(at) == epochs  # what fits is whole


def test_a_damaged_curve_is_left_out_and_a_damaged_cell_is_a_gap():
    with pytest.raises(ValueError, match="valid"):
        curves.thinned("step,train_loss\n0,1.0\n")
    with pytest.raises(ValueError, match="train_loss"):
        curves.thinned("")
    thin = curves.thinned("train_loss,valid\n1.0,0.5\nx,\n0.5\n")
    assert thin["loss"][0::2] == [1.0, 0.5]
    assert math.isnan(thin["loss"][1])
    assert [math.isnan(value) for value in thin["valid"]] == [False, True, True]


def test_the_best_rows_of_all_tables_give_their_curves_first(make_record, tmp_path, monkeypatch):
    records = [
        make_record(run=f"{data}-{row}-{seed}", identity=str(row), data=data, seed=seed, test=-row)
        for data in ("a", "b")
        for row in range(4)
        for seed in range(5)
    ]
    for record in records:
        if record.run != "a-0-1":  # this one kept no curve
            (tmp_path / record.run).mkdir()
            (tmp_path / record.run / "metrics.csv").write_text(metrics([0.5, 0.6]))
    monkeypatch.setattr(curves, "RUNS", 8)
    found = curves.embedded(rows(records, ()), [tmp_path])
    names = [f"{t}-0-{seed}" for t in "ab" for seed in range(3) if (t, seed) != ("a", 1)]
    assert [curve["run"] for curve in found] == [*names, "a-1-0", "a-1-1", "a-1-2"]
    assert all(curve["valid"] == [0.5, 0.6] for curve in found)


@pytest.mark.parametrize("name", ["../outside", "..", "", ".", "a/b", "/etc", "nul\0"])
def test_a_record_cannot_name_a_file_elsewhere(make_record, tmp_path, name):
    for folder in (tmp_path / "outside", tmp_path, tmp_path / "runs", tmp_path / "runs" / "a/b"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "metrics.csv").write_text(metrics([0.5]))
    assert curves.embedded(rows([make_record(run=name)], ()), [tmp_path / "runs"]) == []


def test_the_page_says_what_it_holds_and_ends_where_it_should(make_record, tmp_path):
    hostile = "</script><script>alert(1)</script>&<!--"
    record = make_record(run=hostile.replace("/", ""), model=hostile, data=hostile)
    (tmp_path / record.run).mkdir()
    (tmp_path / record.run / "metrics.csv").write_text(metrics([0.5]))
    text = html(rows([record], ()), [tmp_path], [f"left out: {hostile}"])
    assert text.count("</script>") == text.count("<script") == 2
    assert "<!--" not in text
    assert "1 setting, 1 run, learning curves of 1 of them. " in text
    embedded = re.search(r'<script type="application/json" id="curves">(.*?)</script>', text)
    assert json.loads(embedded[1])[0]["run"] == record.run
    assert "http:" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "https:" not in text


def test_a_page_without_runs_says_so():
    assert "Nothing to show yet" in html([], ["runs"], ["no finished run in runs"])


def test_a_page_of_a_thousand_rows_is_a_megabyte(make_record, tmp_path):
    runs = tmp_path / "runs"
    files = {f"ind.cora.{number}": "0" * 64 for number in range(7)}
    curve = metrics([0.8 - 0.5 / (epoch + 1) for epoch in range(500)])
    for setting in range(1000):
        record = make_record(
            {"model.hidden_dim": 16 + setting, "data.download": files},
            run=f"r{setting}",
            identity=f"{setting:010x}",
            data=f"data{setting % 10}",
            test=setting / 1000,
            num_parameters=1000 + setting,
        )
        (runs / record.run).mkdir(parents=True)
        (runs / record.run / "record.json").write_text(record.to_json())
        (runs / record.run / "metrics.csv").write_text(curve)
    page = tmp_path / "page.html"
    words = ["leaderboard", str(runs), "--format", "html", "--output", str(page)]
    assert main(words) == 0
    text = page.read_text()
    assert text.count("<tr ") == 1000
    assert "learning curves of 150 of them" in text
    assert len(text) < 1_500_000
