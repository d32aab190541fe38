import csv
import io
import json
import math
import re
import statistics
import time
from dataclasses import replace

import pytest
from rich.console import Console

from gbench.board import cells as render
from gbench.board.formats import markdown, terminal
from gbench.board.formats import sheets as export
from gbench.board.settings import settings_texts
from gbench.board.statistics import Spread
from gbench.board.tables import published_tables, rows
from gbench.figures import count_text, memory_text, metric_text, seconds_text


@pytest.fixture
def utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def records(make_record):
    wide = {"model.hidden_dim": 64, "optim.lr": 0.005}
    sgc = {"name": "sgc", "_target_": "gbench.models.sgc.SGC", "hops": 2}
    return [
        *(
            make_record(identity="a", seed=seed, test=test, valid=test - 0.02)
            for seed, test in enumerate([0.81, 0.82, 0.815])
        ),
        make_record(
            wide,
            identity="b",
            test=0.834,
            valid=0.8,
            num_parameters=1885506,
            git={"commit": "b", "dirty": True},
        ),
        make_record(
            {"model": sgc, "optim.lr": 0.2},
            identity="c",
            model="sgc",
            test=0.801,
            fingerprint="other",
            peak_memory_mib=math.nan,
            seconds_per_epoch=12.34,
        ),
        *(
            make_record(
                identity="d",
                data="texas",
                split="geom-gcn",
                num_folds=10,
                fold=fold,
                metric="mae",
                direction="min",
                test=test,
                valid=test,
            )
            for fold, test in enumerate([0.41234, 0.42, 0.40])
        ),
    ]


@pytest.fixture
def papers(make_published):
    return [
        make_published(
            mean=0.816,
            std=0.008,
            valid=Spread(0.9, 0.01),
            num_parameters=23040,
            selection="best-validation",
            experiment="gcn-cora",
        ),
        make_published(
            model="MLP",
            mean=0.551,
            std=None,
            n=None,
            selection="last-epoch",
            source="another paper",
            note="a note",
        ),
    ]


def drawn(records, width, papers=()):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    terminal.draw(rows(records, papers), console)
    return console.file.getvalue()


GOLDEN_80 = """\
cora: accuracy (higher is better), public split, best validation epoch
#  model  settings                      test %    95 %       valid %  n
─  ─────  ──────────────────────  ────────────  ──────  ────────────  ─
1  gcn*   hidden_dim=64 lr=0.005         83.40                 80.00  1
2  gcn    hidden_dim=16 lr=0.01   81.50 ± 0.50  ± 1.24  79.50 ± 0.50  3
3  sgc†   lr=0.2                         80.10                 79.00  1
* code with uncommitted changes in at least one run
† at least one run saw other data than most of this table (fingerprint)
measured on 2 CPU cores
not shown at this width: parameters, epoch, nodes/s, memory, when

texas: mae (lower is better), geom-gcn split, 10 folds, best validation epoch
#  model             test      95 %            valid              n  parameters
─  ─────  ───────────────  ────────  ───────────────  ─────────────  ──────────
1  gcn    0.4108 ± 0.0101  ± 0.0251  0.4108 ± 0.0101  3 of 10 folds      23,063
measured on 2 CPU cores
not shown at this width: settings, epoch, nodes/s, memory, when
"""

GOLDEN_200 = """\
cora: accuracy (higher is better), public split, best validation epoch
#  model     settings                                          test %    95 %       valid %    n  against paper               parameters   epoch  nodes/s   memory        when
─  ────────  ──────────────────────────────────────────  ────────────  ──────  ────────────  ───  ──────────────────────────  ──────────  ──────  ───────  ───────  ──────────
1  gcn*      experiment=gcn-cora hidden_dim=64 lr=0.005         83.40                 80.00    1                               1,885,506  3.1 ms  871,000  512 MiB  2026-03-04
   GCN [1]                                                 81.6 ± 0.8            90.0 ± 1.0  100                                  23,040
2  gcn       experiment=gcn-cora                         81.50 ± 0.50  ± 1.24  79.50 ± 0.50    3  inconclusive −0.2 (3 runs)      23,063  3.1 ms  871,000  512 MiB  2026-03-04
3  sgc†      lr=0.2                                             80.10                 79.00    1                                  23,063  12.3 s  871,000        –  2026-03-04
   MLP [2]§                                                      55.1                          –
against paper: gap to the published mean in standard errors; agrees: equal within the paper's own deviation (TOST, 5 %); one pooled deviation where ours and the paper's are compatible (F test), else
  Welch's
* code with uncommitted changes in at least one run
† at least one run saw other data than most of this table (fingerprint)
measured on 2 CPU cores
rows with a number in brackets are published results:
[1] a paper, Table 2; weights of the best validation epoch
[2] another paper; weights of the last epoch; a note
§ another protocol than this table's: see its source
"""  # noqa: E501


def test_golden_table_at_80_columns(records, utc):
    assert drawn(records, 80) == GOLDEN_80


def test_a_row_that_stands_alone_tells_its_settings(make_record, utc):
    config = {
        "model": {"name": "gcn", "_target_": "gbench.models.gcn.GCN", "hidden_dim": 64},
        "data": {"name": "cora", "fold": 0},
        "optim": {"lr": 0.01, "weight_decay": 0.0, "schedule": "constant"},
        "trainer": {"max_epochs": 7, "patience": 0},
    }
    (table,) = rows([make_record(config=config)], [])
    assert settings_texts(table) == ["hidden_dim=64 lr=0.01 weight_decay=0 max_epochs=7"]
    facts = {"identity": "36a9412caf", "by_seed": False, "seed": 0, "fold": 0, "data": "cora"}
    runs = {"init_from": facts}
    (table,) = rows([make_record(config={**config, "runs": runs})], [])
    assert settings_texts(table)[0].endswith(" init_from.identity=36a9412caf init_from.seed=0")
    (table,) = rows([make_record(config={**config, "experiment": "gcn-cora"})], [])
    assert settings_texts(table) == ["experiment=gcn-cora"]


def test_golden_table_at_200_columns(records, papers, utc):
    for record in records[:3]:
        record.config["experiment"] = "gcn-cora"
    assert drawn(records[:5], 200, papers) == GOLDEN_200


@pytest.mark.parametrize("width", [60, 70, 80, 100, 120, 150, 200])
def test_no_line_is_wider_than_the_terminal(records, width):
    assert max(map(len, drawn(records, width).splitlines())) <= width


def test_columns_drop_in_order_of_importance(records, papers):
    records[4] = replace(records[4], device="a GPU", trials=20)
    records[4].config["experiment"] = "gcn-cora"
    order = ["device", "/s", "when", "memory", "epoch", "trials", "parameters", "valid", "95"]
    order += ["n", "against paper"]
    for width in range(40, 180):
        text = drawn(records[:5], width, papers).replace("\n ", "").replace("\n", " ")
        note = text.partition("not shown at this width:")[2]
        heads = note.replace(" %", "").replace("nodes", "").strip().split(", ") if note else []
        assert set(heads) == set(order[: len(heads)]), width


def test_long_settings_wrap_at_spaces_before_figures_go(make_record):
    many = {f"model.option_{letter}": 1.5 for letter in "abcdef"}
    records = [
        make_record(identity="a"),
        make_record(many, identity="b", test=0.5),
    ]
    lines = drawn(records, 80).splitlines()
    table = [line for line in lines if "option_" in line]
    assert len(table) > 1
    words = " ".join(line[10:36] for line in table).split()
    assert words == [f"option_{letter}=1.5" for letter in "abcdef"]


def test_keys_that_share_their_last_part_are_written_in_full(make_record):
    records = [
        make_record(identity="a"),
        make_record({"model.lr": 1, "optim.lr": 0.5, "model.act": "relu"}, identity="b", test=0.1),
    ]
    (table,) = rows(records, ())
    assert settings_texts(table) == [
        "optim.lr=0.01",
        "act=relu model.lr=1 optim.lr=0.5",
    ]


def test_a_run_that_another_names_is_told_with_the_setting_that_names_it(make_record):
    change = {"model.teacher.identity": "36a9412caf", "model.teacher.seed": 0}
    (table,) = rows([make_record(identity="a"), make_record(change, identity="b", test=0)])
    assert settings_texts(table)[1] == "teacher.identity=36a9412caf teacher.seed=0"


def test_values_read_as_on_the_command_line(make_record):
    change = {"model.a": True, "model.b": None, "model.c": [1, "x"], "model.d": 1e-05}
    (table,) = rows([make_record(identity="a"), make_record(change, identity="b", test=0)])
    assert settings_texts(table)[1] == 'a=true b=null c=[1,"x"] d=1e-05'


def test_when_is_the_local_date(make_record, utc, monkeypatch):
    record = make_record(finished="2026-03-04T23:30:00+00:00")
    assert "2026-03-04" in drawn([record], 200)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    assert "2026-03-05" in drawn([record], 200)


def test_complete_and_repeated_folds_say_so(make_record):
    def cell(folds, seeds):
        records = [
            make_record(num_folds=3, fold=fold, seed=seed)
            for fold in range(folds)
            for seed in range(seeds)
        ]
        return drawn(records, 120)

    assert " 3 folds  " in cell(3, 1)
    assert " 2 of 3 folds  " in cell(2, 1)
    assert " 6 runs, 3 folds  " in cell(3, 2)
    assert " 4 runs, 2 of 3 folds  " in cell(2, 2)
    uneven = [(0, 0), (1, 0), (2, 0), (0, 1)]
    records = [make_record(num_folds=3, fold=fold, seed=seed) for fold, seed in uneven]
    assert " 4 of 6 runs, 3 folds  " in drawn(records, 120)
    diagonal = [make_record(num_folds=3, fold=fold, seed=fold) for fold in range(3)]
    assert " 3 folds  " in drawn(diagonal, 120)


@pytest.mark.parametrize(
    ("protocol", "note"),
    [
        ({"split": "gin-10-fold-selects-on-test"}, "chooses by what it is tested on"),
        ({"selection": "best-mean-epoch", "curve": [0.5]}, "chooses by what it is tested on"),
        ({"split": "train-is-test"}, "trained and tested on the same graphs"),
        ({"split": "dagnn-lcc-quirk"}, "repeats a known error of the authors' code"),
    ],
)
def test_a_quirk_is_marked_and_told(make_record, protocol, note):
    text = drawn([make_record(**protocol)], 120)
    assert "gcn‡" in text
    assert re.search(f"\n‡ .*{note}", text)
    assert "‡" not in drawn([make_record()], 120)


def test_rows_of_an_experiment_show_it_and_what_they_change(make_record):
    def texts(*changes):
        records = [
            make_record({"experiment": "gcn-cora", **change}, identity=str(i), test=-i)
            for i, change in enumerate(changes)
        ]
        other = make_record({"model.name": "sgc", "optim.lr": 0.9}, model="sgc", test=-9)
        return settings_texts(rows([*records, other], ())[0])[: len(changes)]

    assert texts({}) == ["experiment=gcn-cora"]
    assert texts({}, {"trainer.precision": "16-mixed"}) == [
        "experiment=gcn-cora precision=32-true",
        "experiment=gcn-cora precision=16-mixed",
    ]
    assert texts({"model.dropout": 0.1, "experiment": None}, {}) == [
        "experiment=gcn-cora dropout=0.1",
        "experiment=gcn-cora",
    ]
    # an experiment that changed between two runs of it: its name tells them apart no more
    assert texts({}, {"optim.lr": 0.5}) == ["lr=0.01", "lr=0.5"]
    assert texts({"experiment": None}, {"optim.lr": 0.5, "experiment": None}) == [
        "lr=0.01",
        "lr=0.5",
    ]


def test_what_is_published_alone_needs_no_run(make_published):
    console = Console(file=io.StringIO(), width=100, color_system=None)
    (table,) = published_tables([make_published(), make_published(model="MLP", mean=0.5)])
    terminal.draw([table], console)
    assert (
        console.file.getvalue()
        == """\
cora: accuracy (higher is better), public split, published results
model        test %    n
───────  ──────────  ───
GCN [1]  81.5 ± 0.5  100
MLP [1]  50.0 ± 0.5  100
rows with a number in brackets are published results:
[1] a paper, Table 2
"""
    )


@pytest.mark.parametrize(("tied", "style"), [(False, "bold"), (True, None)])
def test_the_best_row_is_bold_unless_another_is_as_good(make_record, make_published, tied, style):
    lower = 0.0001 if tied else 0.1
    records = [
        make_record(identity=name, seed=seed, test=0.8 - shift + noise * (-1) ** len(name))
        for name, shift in [("a", 0), ("bb", lower)]
        for seed, noise in enumerate([0.001, -0.002, 0.003])
    ]
    console = Console(file=io.StringIO(), width=100, force_terminal=True, color_system="standard")
    terminal.draw(rows(records, [make_published(mean=0.1)]), console)
    lines = console.file.getvalue().splitlines()
    (best,) = (line for line in lines if re.search("1=? +gcn", line))
    assert best.startswith("\x1b[1m") is (style == "bold")
    assert any("= cannot be told apart" in line for line in lines) is tied
    (paper,) = (line for line in lines if "GCN [1]" in line)
    assert paper.startswith("\x1b[2m")


def test_what_would_command_a_terminal_is_not_printed(make_record):
    text = drawn([make_record(model="g\x1b[31mcn\n\udce4", data="co\rra")], 120)
    assert "g?[31mcn??" in text
    assert "co?ra:" in text
    assert "\x1b" not in text


def test_csv_holds_the_numbers_in_full(records):
    sheet = list(csv.DictReader(io.StringIO(export.csv_text(rows(records, ())))))
    assert [(line["data"], line["rank"], line["model"]) for line in sheet] == [
        ("cora", "1", "gcn"),
        ("cora", "2", "gcn"),
        ("cora", "3", "sgc"),
        ("texas", "1", "gcn"),
    ]
    values = [0.41234, 0.42, 0.40]
    last = sheet[3]
    assert float(last["test_mean"]) == pytest.approx(statistics.mean(values), rel=1e-15)
    assert float(last["test_std"]) == pytest.approx(statistics.stdev(values), rel=1e-12)
    assert (last["n"], last["folds"], last["num_folds"]) == ("3", "3", "10")
    assert sheet[0]["test_std"] == ""
    assert sheet[2]["peak_memory_mib"] == ""
    assert sheet[2]["settings"] == "lr=0.2"
    assert [line["dirty"] for line in sheet] == ["True", "False", "False", "False"]


def test_json_holds_the_rows_and_their_runs(records):
    text = export.json_text(rows(records, ()))
    cora, texas = json.loads(text, parse_constant=pytest.fail)["tables"]
    assert (cora["metric"], cora["direction"], cora["split"]) == ("accuracy", "max", "public")
    best, second, third = cora["rows"]
    assert best["test"] == {"mean": 0.834, "std": None}
    assert best["settings"] == {"model.hidden_dim": 64, "optim.lr": 0.005}
    assert [run["test"] for run in second["runs"]] == [0.81, 0.82, 0.815]
    assert second["test"]["std"] == pytest.approx(0.005, rel=1e-12)
    assert third["peak_memory_mib"] is None
    assert third["other_data"] is True
    assert texas["rows"][0]["n"] == 3


def test_settings_that_json_cannot_say_are_null(make_record):
    change = {"model.x": math.inf}
    tables = rows([make_record(identity="a"), make_record(change, identity="b", test=0.1)])
    document = json.loads(export.json_text(tables), parse_constant=pytest.fail)
    assert document["tables"][0]["rows"][1]["settings"]["model.x"] is None


def test_markdown_has_every_column_and_the_same_figures(records, utc):
    text = markdown.markdown(rows(records, ()))
    head, rule, *body = [line for line in text.splitlines() if line.startswith("|")][:5]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in (head, *body)]
    table = [dict(zip(cells[0], line, strict=True)) for line in cells[1:]]
    assert len(rule.split("|")) == len(head.split("|"))
    assert table[1]["test %"] == "81.50 ± 0.50"
    assert table[1]["when"] == "2026-03-04"
    assert table[0]["parameters"] == "1,885,506"
    assert text.startswith("### cora: accuracy (higher is better)")
    assert "- \\* code with uncommitted changes" in text


def test_markdown_escapes_pipes(make_record):
    assert "| a\\|b |" in markdown.markdown(rows([make_record(model="a|b")]))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"mean": 0.844, "std": 0.005, "resolution": 0.001}, "84.4 ± 0.5"),
        ({"mean": 0.81, "std": None, "resolution": 0.001}, "81.0"),
        ({"mean": 0.8595, "std": 0.0551, "resolution": 0.0001}, "85.95 ± 5.51"),
        ({"mean": 0.073, "std": 0.001, "resolution": 0.001, "metric": "mae"}, "0.073 ± 0.001"),
        ({"mean": 0.8, "std": None, "resolution": 0.1}, "80"),
    ],
)
def test_published_figures_keep_the_digits_of_their_paper(make_published, changes, text):
    paper = make_published(**changes)
    assert render.paper_text(paper, Spread(paper.mean, paper.std)) == text
    assert render.paper_text(paper, None) == ""


@pytest.mark.parametrize(
    ("metric", "mean", "std", "text"),
    [
        ("accuracy", 0.81456, 0.00519, "81.46 ± 0.52"),
        ("rocauc", 0.7707, None, "77.07"),
        ("ap", 1.0, 0.0, "100.00 ± 0.00"),
        ("mae", 0.41078, 0.010103, "0.4108 ± 0.0101"),
        ("mae", 12.3456, 0.5, "12.35 ± 0.50"),
        ("mae", 123456.7, 89.1, "123457 ± 89"),
        ("mae", 0.00012345, 0.00001, "1.234e-04 ± 1.0e-05"),
        ("mae", 0.0, None, "0.000"),
        ("mae", -1.5, None, "-1.500"),
        ("mae", 1e30, None, "1000000000000000019884624838656"),
        ("accuracy", math.nan, math.nan, "nan"),
    ],
)
def test_metric_text(metric, mean, std, text):
    assert metric_text(metric, mean, std) == text


def test_units():
    assert [seconds_text(s) for s in (0.00031, 0.0031, 0.9996, 59.96, 120, 7200, math.nan)] == [
        *("0.31 ms", "3.1 ms", "1 s", "60 s", "2.0 min", "2.0 h", "–")
    ]
    assert [count_text(x) for x in (23063, 3210.6, 7.123, math.nan)] == [
        *("23,063", "3,211", "7.12", "–")
    ]
    assert [memory_text(x) for x in (512.25, 2345, math.nan)] == ["512 MiB", "2.3 GiB", "–"]
