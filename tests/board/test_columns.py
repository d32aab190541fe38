"""One list of columns: whatever stands in it stands in every format, with its exact value."""

import csv
import io
import json
import math
import re
from dataclasses import replace
from html import unescape

import pytest
from rich.console import Console

from gbench.board import cells, columns
from gbench.board.formats import latex, markdown, sheets, terminal
from gbench.board.page.board import section
from gbench.board.statistics import Spread
from gbench.board.tables import rows
from gbench.figures import seconds_text
from gbench.records.record import finite

SPENT = columns.Column(
    key="spent",
    head="time spent",
    sheet="seconds_spent",
    value=lambda row: math.fsum(run.seconds_total for run in row.runs),
    text=cells.of_value(seconds_text),
    priority=7,
)


@pytest.fixture
def table(make_record, make_published):
    """Two settings of two runs each on two devices, and a published row: every column speaks."""
    records = [
        make_record(
            {"model.hidden_dim": size, "experiment": "gcn-cora" if size == 16 else None},
            identity=f"s{size}",
            seed=seed,
            test=0.8 + 0.01 * seed + size / 10**4,
            trials=3,
            device=device,
            seconds_total=size + seed,
            also={"f1-macro": {"valid": 0.7, "test": 0.75 + seed / 100}},
        )
        for size, device in ((16, "a CPU"), (32, "a GPU"))
        for seed in range(2)
    ]
    paper = make_published(
        experiment="gcn-cora", valid=Spread(0.9, 0.01), num_parameters=23040, selection=""
    )
    (table,) = rows(records, [paper])
    return replace(table, rows=(replace(table.rows[0], against_floor="equal"), *table.rows[1:]))


def page(table):
    """Head and cells of the page's table: key: (head, exact values), `None` for a text."""
    text = section(0, table, is_open=False)
    keys = re.findall(r'<th scope="col" data-key="([^"]*)"[^>]*>([^<]*)</th>', text)
    lines = [
        re.findall(r"<t[hd]( [^>]*)?>", line) for line in re.findall(r"<tr class.*?</tr>", text)
    ]
    exact = [[re.search(r'data-v="([^"]*)"', cell) for cell in line] for line in lines]
    return {
        unescape(key): (unescape(head), [line[i] and line[i][1] for line in exact])
        for i, (key, head) in enumerate(keys)
    }


def drawn(table):
    console = Console(file=io.StringIO(), width=400, color_system=None)
    terminal.draw([table], console)
    return console.file.getvalue().splitlines()[1]


def check(table, column):
    """The column is in every format, and where it is a figure exact in those that have it so."""
    shown = next((c for c in columns.columns(table) if c.sheet == column.sheet != ""), None)
    shown = shown or next((c for c in columns.columns(table) if c.key == column.key), None)
    sheet = [*csv.DictReader(io.StringIO(sheets.csv_text([table])))]
    data = json.loads(sheets.json_text([table]))["tables"][0]["rows"]
    values = [column.value(row) for row in table.rows]
    if isinstance(values[0], Spread):
        assert [line[column.name] for line in data] == [v._asdict() for v in values]
        for part in ("mean", "std"):
            cells = [float(line[f"{column.name}_{part}"]) for line in sheet[: len(table.rows)]]
            assert cells == [getattr(value, part) for value in values]
    else:
        told = [line[column.name] for line in data]
        assert told == finite([[*v] if isinstance(v, tuple) else v for v in values])
        told = [line.get(column.name, line.get(column.key)) for line in sheet]
        assert None not in told
        if isinstance(values[0], int | float):
            there = {str(v) for v in values if not math.isnan(v)}
            assert {*told[: len(table.rows)]} - {""} == there
    if not column.head:
        assert shown is None
        return
    assert shown is not None, f"no cell of {column.key} says anything: mend this test's table"
    assert re.search(rf"(^| ){re.escape(shown.head)}( |$)", drawn(table))
    assert f" {shown.head} |" in markdown.markdown([table])
    printed = re.search(r"toprule\n(.*)", latex.latex([table]))[1]
    assert (latex.escaped(shown.head) in re.split(r" & | \\\\", printed.strip())) == shown.prints
    if column.key == "settings":  # below the name of the model
        return
    head, exact = page(table)[shown.key]
    assert head == shown.head
    own = [exact[i] for i, line in enumerate(columns.lines(table)) if line in table.rows]
    if column.right:
        assert [float(value) for value in own] == pytest.approx([*map(column.number, values)])
    else:
        assert own == [None] * len(own)


def test_every_column_is_in_every_format(table):
    for column in columns.columns_of(table):
        check(table, column)


def test_a_new_column_is_one_entry(table, monkeypatch):
    with pytest.raises(KeyError):
        check(table, replace(SPENT, head=""))
    monkeypatch.setattr(columns, "COLUMNS", (*columns.COLUMNS, SPENT))
    check(table, SPENT)


def test_keys_and_names_are_each_one_column(table):
    there = columns.columns_of(table)
    for values in ([c.key for c in there], [c.name for c in there]):
        assert len(values) == len({*values})


def test_the_first_click_on_a_column_shows_what_is_sought(table):
    text = section(0, table, is_open=False)
    first = dict(re.findall(r'data-key="([^"]*)" data-first="([^"]*)"', text))
    assert first["test"] == first["when"] == first["nodes/s"] == "descending"
    assert first["epoch"] == first["memory"] == first["#"] == "ascending"
    text = section(0, replace(table, direction="min", metric="mae"), is_open=False)
    assert dict(re.findall(r'data-key="([^"]*)" data-first="([^"]*)"', text))["test"] == "ascending"


def test_metrics_beside_the_official_one_have_columns_where_all_runs_tell_them(make_record):
    also = {"ece": {"valid": 0.2, "test": 0.1}, "own.kappa": {"valid": 0.5, "test": 0.25}}
    told = [make_record(identity="a", seed=seed, also=also) for seed in range(2)]
    half = [make_record(identity="b", seed=seed, also=also if seed else {}) for seed in range(2)]
    (table,) = rows([*told, *half], ())
    shown = {column.key: column for column in columns.columns(table)}
    by_row = [row.identity for row in table.rows].index("a")
    assert shown["test_ece"].head == "ece %"
    assert shown["test_ece"].cells[by_row] == "10.00 ± 0.00"
    assert shown["test_own.kappa"].cells[by_row] == "0.2500 ± 0.0000"
    assert shown["test_ece"].cells[1 - by_row] == ""
    assert (shown["test_ece"].order, shown["test_own.kappa"].order) == ("ascending", "descending")
    line = [*csv.DictReader(io.StringIO(sheets.csv_text([table])))][1 - by_row]
    assert line["valid_ece_mean"] == ""
    assert "valid_ece" not in line
    (table,) = rows([replace(run, selection="best-mean-epoch", curve=[0.5]) for run in told], ())
    assert "test_ece" not in {column.key for column in columns.columns(table)}
