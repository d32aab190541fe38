"""`gbench reproduce`, as a user types it."""

from __future__ import annotations

import pytest


@pytest.mark.data
def test_a_paper_is_reproduced_once_and_reported(gbench, tmp_path, data_dir):
    words = ("reproduce", "sgc-citeseer", "seeds=2", "jobs=2", f"data_dir={data_dir}")
    first = gbench(*words, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert "71.90 ± 0.10" in first.stdout  # the paper's
    assert len(list(tmp_path.glob("runs/*/record.json"))) == 2
    written = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*/record.json")}

    again = gbench(*words, cwd=tmp_path)
    assert again.returncode == 0
    assert again.stdout == first.stdout
    assert written == {path: path.stat().st_mtime_ns for path in written}  # none was run again

    report = gbench("reproduce", "--report", "table.md", cwd=tmp_path)
    assert report.returncode == 0, report.stderr
    table = (tmp_path / "table.md").read_text()
    assert "| sgc-citeseer | accuracy % | 71.90 ± 0.10 |" in table
    assert gbench("reproduce", "--report", "runs_dir=runs", cwd=tmp_path).stdout == table


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sgc-cra"], "did you mean 'sgc-cora'"),
        (["gcn-cora", "optim.lr=0.1"], "it is not gcn-cora any more"),
        (["gcn-cora", "folds=3"], "cora has one split; shorten with seeds="),
        ([], "name an experiment"),
        (["--report", "table.pdf"], "no run there is of a published experiment"),
        (
            ["--report", "optim.lr=1", "optim.lr=1"],
            "cache_dir=FOLDER alone",
        ),
    ],
)
def test_mistakes(gbench, tmp_path, words, said):
    (tmp_path / "runs").mkdir()
    answer = gbench("reproduce", *words, cwd=tmp_path)
    assert answer.returncode == 2
    assert said in answer.stderr


def test_list_shows_what_the_papers_print(gbench, tmp_path):
    answer = gbench("reproduce", "gcn-cora", "gin-digits", "--list", cwd=tmp_path)
    gcn, gin = answer.stdout.splitlines()
    assert gcn.startswith("gcn-cora ") and "accuracy 81.50, n = 100; Kipf and Welling" in gcn
    assert gin.startswith("gin-digits ") and gin.endswith("no published figure to compare with")


def test_every_experiment_without_data_is_named(gbench, tmp_path):
    words = ("reproduce", "sgc-pubmed", "gcn-pubmed", f"data_dir={tmp_path}")
    answer = gbench(*words, cwd=tmp_path, env={"https_proxy": "http://127.0.0.1:9"})
    assert answer.returncode == 2
    assert "sgc-pubmed, gcn-pubmed: the raw files of 'pubmed' are missing" in answer.stderr
