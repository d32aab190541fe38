"""Which facts of an audit stand beside a table, by which fixed rule, and what is said of them."""

import csv
import io
import json
import subprocess
import sys
from dataclasses import replace

import pytest
from rich.console import Console

from gbench.audits.fact import path_of
from gbench.board.audits import with_audits
from gbench.board.flags import flagged
from gbench.board.formats import latex, markdown, sheets, terminal
from gbench.board.page.board import section
from gbench.board.settings import settings_texts
from gbench.board.tables import published_tables, rows
from gbench.board.worth import worth
from gbench.board.worth_text import worth_line

LINE = (
    "what a score is worth (audit, means over 2 folds): ceiling 95.30 %; ceiling of one rule for "
    "the whole dataset 88.60 %; majority 48.20 %; features alone 68.00 %; copy the twin 60.70 %"
)


@pytest.fixture
def table(on_imdb, imdb):
    """A network near the best floor, one below it, and a floor of our own."""
    floor = {"model.is_network": False, "model.name": "lookup"}
    (table,) = rows(
        [
            *on_imdb([0.72, 0.66], model="gin"),
            *on_imdb([0.50, 0.52], model="gcn"),
            *on_imdb([0.60, 0.61], model="lookup", config=floor),
        ],
        (),
    )
    return flagged(table, imdb)


def test_two_ceilings_are_told_and_each_is_named(table):
    assert worth_line(table) == LINE


def test_the_line_is_in_every_format(table):
    console = Console(file=io.StringIO(), width=300, color_system=None)
    terminal.draw([table], console)
    title, line, *_ = console.file.getvalue().splitlines()
    assert title.startswith("imdb-binary: accuracy")
    assert line == LINE
    assert f"\n\n{LINE}\n\n| #" in markdown.markdown([table])
    assert latex.escaped(LINE) in latex.latex([table]).split(r"\end{tabular}")[1]
    assert f'<p class="worth">{LINE}</p>' in section(0, table, is_open=False)


def test_a_narrow_terminal_wraps_the_line_and_keeps_the_remarks(table):
    console = Console(file=io.StringIO(), width=60, color_system=None)
    terminal.draw([table], console)
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= 60
    assert LINE in " ".join(" ".join(lines).split())
    assert any("lookup" in line and "no network" in line for line in lines)


def test_programs_read_each_figure_with_its_fact(table):
    (told,) = json.loads(sheets.json_text([table]))["tables"]
    assert told["worth"]["ceiling"] == {
        "fact": "test ceiling, no labels",
        "mean": pytest.approx(0.953),
        "by_fold": {"0": 0.96, "1": pytest.approx(0.946)},
    }
    assert told["worth"]["one_rule"]["fact"] == "ceiling, no labels"
    assert told["worth"]["unreachable"] is None
    names = ("model", "no_network", "against_floor", "beyond")
    assert [tuple(row[name] for name in names) for row in told["rows"]] == [
        ("gin", False, "equal", ""),
        ("lookup", True, "", ""),
        ("gcn", False, "worse", ""),
    ]
    sheet = [*csv.DictReader(io.StringIO(sheets.csv_text([table])))]
    assert [float(line["ceiling"]) for line in sheet] == pytest.approx([0.953] * 3)
    assert [float(line["one_rule"]) for line in sheet] == pytest.approx([0.886] * 3)
    assert [float(line["features"]) for line in sheet] == pytest.approx([0.68] * 3)
    assert [line["remark"] for line in sheet] == ["= floor", "no network", "worse than floor"]


def test_the_page_knows_where_the_band_lies(table):
    text = section(0, table, is_open=False)
    assert 'data-floor="0.68" data-floor-name="features alone" data-ceiling="0.953"' in text


def test_a_floor_stands_in_each_table_and_tells_what_was_chosen(on_imdb):
    config = {"model.is_network": False, "model.name": "lookup"}
    floor = on_imdb([0.6, 0.61], model="lookup", config=config)
    floor = [replace(run, chosen={"key": key}) for run, key in zip(floor, "ab", strict=True)]
    last = on_imdb([0.7, 0.6], config={"model.hidden_dim": 32}, selection="last-epoch")
    best = on_imdb([0.7, 0.6], config={"model.hidden_dim": 16})
    tables = rows([*best, *floor, *last], ())
    assert [table.selection for table in tables] == ["best-validation", "last-epoch"]
    for table in tables:
        assert {row.model: row.no_network for row in table.rows} == {"gcn": False, "lookup": True}
        (row,) = (row for row in table.rows if row.no_network)
        assert dict(zip([r.model for r in table.rows], settings_texts(table), strict=True)) == {
            "gcn": "",  # that a floor has no hidden_dim says nothing
            "lookup": "key=a|b",
        }
        assert row.runs == tuple(floor)
    (alone,) = rows(floor, ())
    assert (alone.selection, settings_texts(alone)) == ("best-validation", ["key=a|b"])
    told = json.loads(sheets.json_text([alone]))["tables"][0]["rows"][0]["runs"]
    assert [run["chosen"] for run in told] == [{"key": "a"}, {"key": "b"}]


def test_without_an_audit_there_is_no_line_and_no_column(on_imdb):
    (table,) = rows(on_imdb([0.7, 0.6]), ())
    table = flagged(table, None)
    assert worth_line(table) == ""
    assert "worth" not in markdown.markdown([table])
    assert json.loads(sheets.json_text([table]))["tables"][0]["worth"] is None
    assert "data-floor" not in section(0, table, is_open=False)


NODES = {
    "test nodes": 1000,
    "unreachable test nodes": 59,
    "test ceiling at depth 0": 96.0,
    "test ceiling at depth inf": 100.0,
    "constant baseline": 13.0,
    "logistic regression on features": 57.6,
    "table lookup by features + neighbours, else logistic regression": 57.7,
    "table lookup by neighbours, else logistic regression": 58.0,
    "table lookup by in- and out-neighbours, else logistic regression": 99.0,
    "label propagation": 71.3,
}


def test_nodes_tell_which_of_them_are_out_of_reach(make_audit, make_record):
    (table,) = rows([make_record()], ())
    line = worth_line(flagged(table, make_audit(NODES, {"ceiling at depth inf": 99.5})))
    assert line == (
        "what a score is worth (audit): ceiling 100.00 %; ceiling of one rule for the whole "
        "dataset 99.50 %; majority 13.00 %; features alone 57.60 %; copy the twin 58.00 %; "
        "label propagation 71.30 %; unreachable test nodes 59 of 1,000"
    )
    assert flagged(table, make_audit(NODES)).bar.name == "label propagation"


def test_the_key_of_a_lookup_is_fixed_and_not_that_which_scores_best(make_audit):
    name = "table lookup by out-neighbours, else logistic regression"
    assert worth(make_audit(NODES), "accuracy").twins.fact.startswith("table lookup by neighbours")
    assert worth(make_audit({**NODES, name: 20.0}), "accuracy").twins.fact == name


def test_directions_that_training_does_not_see_are_worth_nothing(make_audit):
    name = "table lookup by out-neighbours, else logistic regression"
    facts = {**NODES, name: 79.0, "test ceiling at depth inf (directed)": 101.0}
    audit = make_audit(facts, {"directed, in training []": "no"})
    found = worth(audit, "accuracy")
    assert found.twins.fact.startswith("table lookup by neighbours")
    assert found.ceiling.mean == 1.0


def test_the_ceiling_of_1_wl_is_told_where_it_is_another(make_audit, make_record):
    (table,) = rows([make_record()], ())
    facts = {"test ceiling, no labels": 100.0, "test ceiling at depth inf, no labels": 100.0}
    assert worth_line(flagged(table, make_audit(facts))).endswith("(audit): ceiling 100.00 %")
    facts["test ceiling at depth inf, no labels"] = 50.0
    told = "ceiling 100.00 %; ceiling of 1-WL 50.00 %"
    assert worth_line(flagged(table, make_audit(facts))).endswith(f"(audit): {told}")


def test_labels_that_training_leaves_out_are_no_ceiling_of_its_models(make_audit):
    facts = {
        "test ceiling, node and edge labels": 100.0,
        "test ceiling, node labels": 95.0,
        "table lookup, node and edge labels": 67.0,
        "table lookup, node labels": 70.0,
        "random forest on sizes and label counts": 89.0,  # of all labels in the files
        "random forest on sizes": 86.0,
    }
    found = worth(make_audit(facts), "accuracy")  # the finest
    assert [of.mean for of in (found.ceiling, found.twins, found.features)] == [1.0, 0.67, 0.89]
    found = worth(make_audit(facts, {"labels that training sees []": "node labels"}), "accuracy")
    assert [of.mean for of in (found.ceiling, found.twins, found.features)] == [0.95, 0.7, 0.86]


def test_of_links_common_neighbours_are_the_floor(make_audit, make_record):
    audit = make_audit(
        {
            "common neighbours, test": [44.5],
            "test links [count]": 2000,
            "test links between components [count]": 7,
        },
        data="pairs",
    )
    linked = {"task": "link-prediction", "metric": "hits@50", "item": "links"}
    (table,) = rows([make_record(data="pairs", **linked)], ())
    table = flagged(table, audit)
    told = "common neighbours 44.50 %; unreachable test links 7 of 2,000"
    assert worth_line(table) == f"what a score is worth (audit): {told}"
    assert table.bar.mean == 0.445


def test_along_directed_edges_the_higher_ceiling_counts_in_each_fold(make_audit):
    both, directed = [90.0, 95.0], [93.0, 91.0]
    found = worth(
        make_audit(
            {
                "test ceiling at depth inf": both,
                "test ceiling at depth inf (directed)": directed,
            }
        ),
        "accuracy",
    )
    assert found.colours.by_fold == {0: 0.93, 1: 0.95}
    of_errors = {"test MAE floor at depth inf [MAE]": [0.2, 0.1],
                 "test MAE floor at depth inf (directed) [MAE]": [0.1, 0.3]}  # fmt: skip
    assert worth(make_audit(of_errors), "mae").colours.by_fold == {0: 0.1, 1: 0.1}


def test_each_metric_has_its_own_facts(make_audit):
    audit = make_audit(
        {
            "constant score [ROC-AUC]": 0.5,
            "constant score, average precision [AP]": 0.03,
            "ROC-AUC ceiling at depth 0, all features [ROC-AUC]": 0.99,
            "ROC-AUC ceiling at depth inf, all features [ROC-AUC]": 0.999,
            "ROC-AUC ceiling at depth inf, no labels [ROC-AUC]": 0.9,
            "random forest on sizes [ROC-AUC]": 0.6,
            "random forest on sizes and label counts [ROC-AUC]": 0.71,
        },
        {"1-WL classes that hold several isomorphism classes, all features [count]": 0},
        part="test",
    )
    found = worth(audit, "rocauc")
    assert (found.ceiling.mean, found.features_ceiling.mean) == (0.999, 0.99)
    assert found.isomorphism == found.colours  # no colour holds two classes
    assert {name: of.mean for name, of in found.floors.items()} == {
        "constant score": 0.5,
        "features alone": 0.71,
    }
    assert worth(audit, "accuracy") is None
    assert worth(audit, "mine.metric") is None


def test_an_error_has_its_ceiling_below_its_floors(make_audit, make_record):
    audit = make_audit(
        {
            "MAE floor at depth inf, node and edge labels [MAE]": 0.0,
            "MAE floor at depth inf, no labels [MAE]": 0.0002,
            "median baseline [MAE]": 1.547,
            "random forest on sizes and label counts [MAE]": 0.7457,
        },
        data="zinc",
        part="test",
    )
    runs = [
        make_record(data="zinc", metric="mae", direction="min", seed=seed, test=0.7 + seed / 10)
        for seed in range(3)
    ]
    (table,) = rows(runs, ())
    table = flagged(table, audit)
    assert worth_line(table).endswith("ceiling 0.000; median 1.547; features alone 0.7457")
    assert table.bar.mean == 0.7457
    assert table.rows[0].against_floor == "equal"


def test_folds_that_were_not_audited_are_counted(make_audit, on_imdb):
    (table,) = rows([*on_imdb([0.7, 0.6])], ())
    audit = make_audit({"constant baseline": [48.0, 50.0]}, split="gin-10-fold")
    assert "means over 2 of 10 folds" in worth_line(flagged(replace(table, num_folds=10), audit))


def test_an_audit_is_found_by_the_fingerprint_of_the_records(keep, imdb, on_imdb):
    runs = on_imdb([0.7, 0.6])
    folder = keep(imdb)
    assert worth_line(with_audits(rows(runs, ()), folder)[0]) == LINE
    other = on_imdb([0.7, 0.6], fingerprint="0" * 64)
    assert worth_line(with_audits(rows(other, ()), folder)[0]) == ""


@pytest.mark.parametrize("damage", ["", "{", '{"layout": 0}', '{"layout": 1, "facts": 3}', None])
def test_a_damaged_or_older_audit_is_none(keep, imdb, on_imdb, damage):
    folder = keep(imdb)
    path = path_of(imdb.dataset, imdb.fingerprint, folder)
    path.unlink() if damage is None else path.write_text(damage)
    assert worth_line(with_audits(rows(on_imdb([0.7, 0.6]), ()), folder)[0]) == ""


def test_published_results_alone_take_the_audit_of_their_split(keep, make_audit, make_published):
    paper = make_published(split="geom-gcn")
    folder = keep(make_audit({"constant baseline": 30.0}, split="geom-gcn", fingerprint="a" * 64))
    keep(make_audit({"constant baseline": 99.0}, split="public", fingerprint="b" * 64))
    (table,) = with_audits(published_tables([paper]), folder)
    assert worth_line(table) == "what a score is worth (audit): majority 30.00 %"
    keep(make_audit({"constant baseline": 31.0}, split="geom-gcn", fingerprint="c" * 64))
    (table,) = with_audits(published_tables([paper]), folder)
    assert worth_line(table) == ""  # nobody knows which of the two the paper had


def test_a_name_that_leads_elsewhere_is_no_place(keep, imdb, on_imdb, tmp_path):
    keep(imdb)
    elsewhere = {"data.name": "../data/imdb-binary"}
    (table,) = rows(on_imdb([0.7, 0.6], config=elsewhere), ())
    assert worth_line(with_audits([table], tmp_path / "derived")[0]) == ""


def test_nothing_heavy_is_imported(keep, imdb, on_imdb, save, tmp_path):
    folder = keep(imdb)
    for run in on_imdb([0.7, 0.6]):
        save(replace(run, run=f"r{run.fold}"), tmp_path / "runs")
    code = (
        "import sys; from gbench.cli.main import main\n"
        f"main(['leaderboard', {str(tmp_path / 'runs')!r}, '--cache-dir', {str(folder)!r}])\n"
        "heavy = ('torch', 'numpy', 'scipy', 'sklearn', 'pandas', 'hydra', 'omegaconf')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "copy the twin 60.70 %" in " ".join(said.stdout.split()), said.stderr
    assert said.stdout.splitlines()[-1] == "[]"
