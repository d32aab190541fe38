"""What the page draws of `gbench errors`: confusion and calibration, as numbers in the HTML."""

import re
from dataclasses import replace

from gbench.board.page.page import html
from gbench.board.tables import rows
from gbench.records.mistakes import Kept, write

CONFUSION = [[30, 10], [5, 55]]
BINS = [[0, 0, 0]] * 13 + [[40, 34.0, 30], [60, 57.0, 55]]


def page(records, folder):
    return html(rows(records, ()), [folder])


def keep(record, folder, classes=("cat", "dog"), finished=None):
    (folder / record.run).mkdir(exist_ok=True)
    write(Kept(classes, CONFUSION, BINS), folder / record.run, finished or record.finished)


def test_runs_that_were_examined_are_drawn_together(make_record, tmp_path):
    records = [make_record(run=f"r{seed}", seed=seed) for seed in range(3)]
    assert "Where runs are wrong" not in page(records, tmp_path)
    for record in records[:2]:
        keep(record, tmp_path)
    text = page(records, tmp_path)
    assert "2 of 3 runs" in text
    titles = re.findall(r"<title>(\w+ answered as .*?)</title>", text)
    assert titles == [
        "cat answered as cat: 60 of 80", "cat answered as dog: 20 of 80",
        "dog answered as cat: 10 of 120", "dog answered as dog: 110 of 120",
    ]  # fmt: skip
    opacity = [float(o) for o in re.findall(r'fill-opacity="([0-9.]+)"><title>\w+ answ', text)]
    assert opacity[0] > opacity[1] > opacity[2]
    # by hand: |34 - 30| + |57 - 55| of 100 answers
    assert "ECE 6.0 %" in text
    assert "80 answers, sure 85.0 %, right 75.0 %" in text
    assert not re.findall(r"<(?:svg|rect|text|line)[^>]* style=", text), "no style is allowed"


def test_a_run_that_was_trained_again_is_not_drawn(make_record, tmp_path):
    record = make_record()
    keep(record, tmp_path, finished="2020-01-01T00:00:00+00:00")
    assert "Where runs are wrong" not in page([record], tmp_path)
    elsewhere = replace(record, run="../r")
    keep(record, tmp_path)
    assert "Where runs are wrong" not in page([elsewhere], tmp_path / "runs")


def test_names_of_classes_cannot_run(make_record, tmp_path, hostile_name):
    record = make_record()
    keep(record, tmp_path, classes=(hostile_name, "dog"))
    text = page([record], tmp_path)
    assert "Where runs are wrong" in text
    assert hostile_name not in text
    assert "<img" not in text


def test_what_has_no_classes_has_its_calibration_alone(make_record, tmp_path):
    record = make_record()
    (tmp_path / record.run).mkdir()
    write(Kept(("active",), [], BINS), tmp_path / record.run, record.finished)
    text = page([record], tmp_path)
    assert "ECE 6.0 %" in text
    assert "answered as" not in text
    write(Kept(("energy",), [], []), tmp_path / record.run, record.finished)
    assert "Where runs are wrong" not in page([record], tmp_path)
