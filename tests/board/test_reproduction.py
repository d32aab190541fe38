"""An experiment's runs beside its paper's figure."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from gbench.board.published import published_by
from gbench.board.reproduction import repetitions, reproductions
from gbench.board.reproduction_table import COLUMNS, WORTH, draw, html, markdown


@pytest.fixture
def sgc(make_record):
    """Runs of SGC on Cora with these test accuracies, as its experiment or changed."""

    def make(tests, experiment="sgc-cora", identity="00000000aa", **changes):
        return [
            make_record(
                {"experiment": experiment},
                run=f"cora-sgc-{identity}-s{seed}",
                identity=identity,
                model="sgc",
                selection="last-epoch",
                seed=seed,
                test=test,
                seconds_total=1.5,
                **changes,
            )
            for seed, test in enumerate(tests)
        ]

    return make


@pytest.mark.parametrize(
    ("n", "num_folds", "expected"),
    [
        (100, 1, ["seeds=100"]),
        (10, 10, ["seeds=1", "folds=all"]),
        (20, 5, ["seeds=4", "folds=all"]),
        (100, 100, ["seeds=1", "folds=all"]),
        (10, 100, ["seeds=1", "folds=10"]),
        (None, 1, ["seeds=10"]),
    ],
)
def test_a_paper_averages_over_so_many_seeds_and_folds(n, num_folds, expected):
    paper = replace(published_by("sgc-cora"), n=n)
    assert repetitions(paper, num_folds) == expected


def test_runs_of_an_experiment_stand_beside_its_paper(sgc):
    (result,) = reproductions(sgc([0.810, 0.811, 0.809]))
    assert result.experiment == "sgc-cora"
    assert result.n == 3
    assert result.published.mean == 0.81
    assert result.ours.mean == pytest.approx(0.81)
    assert result.difference == pytest.approx(0)
    assert result.seconds == pytest.approx(4.5)
    row = {column.head: column.text(result) for column in COLUMNS}
    assert row["metric"] == "accuracy %"
    assert row["paper"] == "81.00 ± 0.00"


def test_the_verdict_follows_the_runs(sgc):
    words = [
        reproductions(sgc(tests))[0].verdict.word
        for tests in ([0.700, 0.702, 0.701], [0.900, 0.902, 0.901])
    ]
    assert words == ["below", "above"]


def test_changed_settings_are_no_reproduction(sgc):
    assert reproductions(sgc([0.81, 0.82], experiment=None)) == []


def test_after_an_experiment_was_mended_its_last_settings_count(sgc):
    old = sgc([0.5, 0.5], finished="2026-01-01T00:00:00+00:00")
    new = sgc([0.81], identity="00000000bb", finished="2026-02-01T00:00:00+00:00")
    (result,) = reproductions([*new, *old])
    assert (result.n, result.ours.mean) == (1, 0.81)


def test_markdown_has_a_cell_for_every_head_and_names_the_source(sgc):
    text = markdown(reproductions(sgc([0.810, 0.811])))
    head, rule, row = (line.split("|")[1:-1] for line in text.splitlines()[:3])
    assert len(head) == len(rule) == len(row) == len(COLUMNS)
    assert f"{published_by('sgc-cora').source}: sgc-cora" in text


def test_the_page_shows_the_same_cells_and_needs_no_network(sgc):
    results = reproductions(sgc([0.810, 0.811]))
    page = html(results)
    shown = re.findall(r"<td[^>]*>(.*?)</td>", page)
    assert shown == [column.text(results[0]) for column in COLUMNS]
    assert not re.search(r"(src|href)=|url\(|@import", page)


@pytest.mark.parametrize("width", [44, 60, 80, 200])
def test_a_narrow_terminal_leaves_out_what_matters_least_and_cuts_no_figure(sgc, width):
    (result,) = reproductions(sgc([0.8, 0.81]))
    said = io.StringIO()
    draw([replace(result, experiment="[b]m")], Console(file=said, width=width))
    row = "\n".join(line for line in said.getvalue().splitlines() if "±" in line)
    texts = [column.text(replace(result, experiment="[b]m")) for column in COLUMNS]
    assert row.split()[0] == "[b]m"
    assert texts[2] in row
    assert texts[4] in row
    assert [text in row for text in (texts[1], texts[8])] == [width == 200] * 2
    assert ("not shown at this width" in said.getvalue()) == (width < 200)


def test_an_audit_stands_beside_what_was_reproduced(sgc, keep, make_audit):
    facts = {"test ceiling at depth inf": 99.0, "logistic regression on features": 81.0}
    folder = keep(make_audit(facts))
    runs = sgc([0.810, 0.811, 0.809])
    (result,) = reproductions(runs, folder)
    line = "ceiling 99.00 %; features alone 81.00 %"
    texts = {column.head: column.text(result) for column in WORTH}
    assert texts == {"floor": "81.00", "ceiling": "99.00", "worth": "= floor"}
    text = markdown([result])
    head, _, row = (text.splitlines()[i].split(" | ") for i in range(3))
    assert dict(zip(head[-3:], row[-3:], strict=True)) == {
        "floor": "81.00",
        "ceiling": "99.00",
        "worth |": "= floor |",
    }
    assert f"- cora, public split, accuracy: what a score is worth (audit): {line}" in text
    page = html([result])
    shown = re.findall(r"<td[^>]*>(.*?)</td>", page)
    assert shown == [column.text(result) for column in (*COLUMNS, *WORTH)]
    assert f"{line}</li>" in page
    said = io.StringIO()
    draw([result], Console(file=said, width=200))
    assert "= floor" in said.getvalue()
    assert line in " ".join(said.getvalue().split())


def test_where_one_of_two_was_audited_the_other_has_no_figures(sgc, keep, make_audit):
    folder = keep(make_audit({"constant baseline": 30.0}))
    named = {"experiment": "sgc-citeseer", "identity": "b", "data": "citeseer"}
    other = sgc([0.7, 0.71], **named, fingerprint="0" * 64)
    results = reproductions([*sgc([0.81, 0.82]), *other], folder)
    floors = {result.experiment: WORTH[0].text(result) for result in results}
    assert floors == {"sgc-cora": "30.00", "sgc-citeseer": ""}
    assert WORTH[0].head not in markdown(reproductions(other, folder))
