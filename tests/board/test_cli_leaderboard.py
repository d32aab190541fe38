import argparse
import csv
import io
import json
import os
import subprocess
import sys

import pytest

from gbench.cli import leaderboard
from gbench.errors import UserError


def parse(*words):
    parser = argparse.ArgumentParser()
    leaderboard.add_arguments(parser)
    return parser.parse_args(words)


@pytest.fixture
def runs(make_record, save, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    folder = tmp_path / "runs"
    save(make_record(run="a"), folder)
    save(make_record(run="b", data="texas", identity="b"), folder)
    save(make_record(run="c", model="sgc", identity="c", test=0.5), folder)
    return folder


def test_the_default_folder_is_runs_and_all_goes_to_stdout(runs, capsys):
    assert leaderboard.run(parse()) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("cora: accuracy")
    assert "\ntexas: accuracy" in captured.out
    assert captured.err == ""
    assert "\x1b" not in captured.out


def test_filters_choose_tables_and_rows(runs, capsys):
    def models(*words):
        leaderboard.run(parse(*words, "--format", "json"))
        tables = json.loads(capsys.readouterr().out)["tables"]
        return {table["data"]: [row["model"] for row in table["rows"]] for table in tables}

    assert models("data=texas") == {"texas": ["gcn"]}
    assert models("data=texas,cora") == {"cora": ["gcn", "sgc"], "texas": ["gcn"]}
    assert models("data=texas", "data=cora", "model=sgc") == {"cora": ["sgc"]}
    assert models("split=public") == {"cora": ["gcn", "sgc"], "texas": ["gcn"]}
    assert models("runs", "model=gcn", "./runs/") == {"cora": ["gcn"], "texas": ["gcn"]}


def test_a_filter_that_matches_nothing_lists_what_there_is(runs):
    with pytest.raises(UserError, match=r"dataset 'corra': did you mean 'cora'\? .*: cora, texas"):
        leaderboard.run(parse("data=corra"))
    with pytest.raises(UserError, match=r"of the model 'sgc', available: gcn\."):
        leaderboard.run(parse("data=texas", "model=sgc"))
    with pytest.raises(UserError, match=r"split 'publik': did you mean 'public'\?"):
        leaderboard.run(parse("split=publik"))
    with pytest.raises(UserError, match=r"filter 'dat': did you mean 'data'\?"):
        leaderboard.run(parse("dat=cora"))
    with pytest.raises(UserError, match="'data=' names nothing: type data=NAME"):
        leaderboard.run(parse("data="))


@pytest.mark.parametrize(
    ("words", "choice"),
    [
        (["data=csl"], "csl"),
        (["data=csl", "model=gin"], "csl"),
        (["data=NCI109"], "tu data.name=NCI109"),
    ],
)
def test_a_dataset_without_any_row_is_known(runs, capsys, words, choice):
    assert leaderboard.run(parse(*words)) == 0
    said = capsys.readouterr()
    assert said.out == ""
    name = words[0].removeprefix("data=")
    assert f"no finished run on {name} in runs, and no published result yet" in said.err
    assert f"`gbench train data={choice}` makes one" in said.err


@pytest.mark.parametrize("data", ["ogbl-ddi", "ogbl-collab"])
def test_the_link_datasets_have_published_rows(runs, capsys, data):
    assert leaderboard.run(parse(f"data={data}")) == 0
    said = capsys.readouterr()
    assert said.out.startswith(f"{data}: hits@")
    assert "GCN [" in said.out
    assert f"`gbench train experiment=gcn-{data}`" in said.err


def test_a_folder_with_an_equals_sign_is_a_folder(runs, capsys):
    runs.rename("lr=0.1")
    assert leaderboard.run(parse("./lr=0.1")) == 0
    assert "cora" in capsys.readouterr().out


def test_empty_and_missing_folders_say_what_to_type(runs, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"no finished run in empty: type `gbench train`"):
        leaderboard.run(parse("empty"))
    with pytest.raises(UserError, match=r"'missing'.*`gbench train`"):
        leaderboard.run(parse("runs", "missing"))
    runs.rename("elsewhere")
    with pytest.raises(
        UserError, match=r"no finished run in runs: .*`gbench leaderboard data=cora`"
    ):
        leaderboard.run(parse())


def tables(capsys, *words):
    leaderboard.run(parse(*words, "--format", "json"))
    captured = capsys.readouterr()
    return json.loads(captured.out)["tables"], captured.err


def test_who_has_no_run_yet_sees_what_is_published(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (table,), told = tables(capsys, "data=cora", "split=public", "model=gcn")
    assert (table["rows"], table["selection"]) == ([], "")
    assert {row["model"] for row in table["published"]} == {"GCN"}
    assert told == (
        "no finished run on cora in runs, only published results: "
        "`gbench train experiment=gcn-cora` makes one\n"
    )
    (table,), _ = tables(capsys, "data=exp")
    assert table["published"][0]["test"] == {"mean": 1.0, "std": 0.0}
    with pytest.raises(UserError, match=r"dataset 'zink': did you mean 'zinc'\?"):
        leaderboard.run(parse("data=zink"))
    leaderboard.run(parse("data=zinc"))
    captured = capsys.readouterr()
    assert captured.out.startswith("zinc: mae (lower is better), official split, published results")
    assert "Graph MLP-Mixer [" in captured.out


def test_a_dataset_without_runs_stands_beside_one_with_runs(runs, capsys):
    (cora, pubmed), told = tables(capsys, "data=cora,pubmed", "split=public")
    assert (len(cora["rows"]), len(pubmed["rows"])) == (2, 0)
    assert "no finished run on pubmed" in told
    assert "on cora" not in told


def test_published_rows_follow_the_filter_of_models(runs, capsys):
    (table,), _ = tables(capsys, "data=cora", "model=sgc")
    assert [row["model"] for row in table["rows"]] == ["sgc"]
    assert {row["model"] for row in table["published"]} == {"SGC"}


def test_a_sheet_has_published_rows_after_ones_own(runs, capsys):
    leaderboard.run(parse("data=cora", "--format", "csv"))
    sheet = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    published = [line["published"] for line in sheet]
    assert published == sorted(published)
    assert published.count("False") == 2
    kipf = next(line for line in sheet if line["source"].startswith("Kipf"))
    assert (kipf["test_mean"], kipf["test_std"], kipf["n"]) == ("0.815", "", "100")
    assert (kipf["rank"], kipf["experiment"], kipf["selection"]) == ("", "gcn-cora", "last-epoch")


def test_what_was_left_out_is_counted_on_stderr(runs, make_record, save, capsys):
    bad = runs / "bad" / "record.json"
    bad.parent.mkdir()
    bad.write_text('{"schema": 2}')
    leaderboard.run(parse("--format", "csv"))
    captured = capsys.readouterr()
    reason = "schema 2 is newer than this gbench reads (1): upgrade gbench"
    assert captured.err == f"1 record left out: runs/bad/record.json: {reason}\n"
    assert captured.out.count("\ncora,") + captured.out.count("\ntexas,") > 3
    for number in range(7):
        (runs / f"bad{number}").mkdir()
        (runs / f"bad{number}" / "record.json").write_text("{")
    save(make_record(run="a-again"), runs)
    leaderboard.run(parse())
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "8 records left out:"
    assert lines[6] == "  … and 3 more"
    assert lines[7].startswith("1 record left out: the same setting, seed and fold")
    assert len(lines) == 8


def fresh(code, *words, **options):
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, words)],
        capture_output=True,
        text=True,
        check=True,
        **options,
    )


IMPORTS = """
import importlib, pkgutil, sys
import gbench.board, gbench.board.formats, gbench.records
for room in (gbench.board, gbench.board.formats, gbench.records):
  for module in pkgutil.iter_modules(room.__path__):
    importlib.import_module(f"{room.__name__}.{module.name}")
import gbench.cli.leaderboard
heavy = {"torch", "hydra", "omegaconf", "lightning", "numpy", "pandas", "scipy", "rich", "yaml"}
print(sorted(heavy & set(sys.modules)), "gbench.records.find" in sys.modules)
"""

MAIN = """
import argparse, sys
from gbench.cli import leaderboard
parser = argparse.ArgumentParser()
leaderboard.add_arguments(parser)
sys.exit(leaderboard.run(parser.parse_args()))
"""


COUNTED = """
import atexit, sys
opened = []
note = lambda event, given: event == "open" and opened.append(str(given[0]))
sys.addaudithook(note)
atexit.register(lambda: print(sum(n.endswith("record.json") for n in opened), file=sys.stderr))
"""


def test_nothing_heavy_is_imported():
    assert fresh(IMPORTS).stdout == "[] True\n"


def test_a_file_gets_no_colours_and_120_columns(runs):
    def out(**columns):
        environment = {key: value for key, value in os.environ.items() if key != "COLUMNS"}
        return fresh(MAIN, runs, env=environment | columns).stdout

    assert "\x1b" not in out()
    assert out() == out(COLUMNS="120") != out(COLUMNS="80")


def test_each_record_is_opened_once(make_record, tmp_path):
    runs = tmp_path / "runs"
    for number in range(200):
        setting, seed = divmod(number, 10)
        record = make_record(
            {"model.hidden_dim": 16 + setting, "seed": seed},
            run=f"r{number}",
            identity=f"{setting:010x}",
            data=f"data{setting % 5}",
            seed=seed,
        )
        (runs / record.run).mkdir(parents=True)
        (runs / record.run / "record.json").write_text(record.to_json())
    answer = fresh(COUNTED + MAIN, runs, "--format", "json")
    tables = json.loads(answer.stdout)["tables"]
    assert [len(table["rows"]) for table in tables] == [4] * 5
    assert {row["n"] for table in tables for row in table["rows"]} == {10}
    assert answer.stderr == "200\n"
