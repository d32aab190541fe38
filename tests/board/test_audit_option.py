"""`gbench leaderboard --audit`: what has no audit yet gets one, and only then."""

import argparse
from dataclasses import replace
from pathlib import Path

import pytest

from gbench.audits.fact import Audit
from gbench.board.audits import kept_of
from gbench.board.tables import rows
from gbench.cli import leaderboard
from gbench.config.compose import compose
from gbench.data.load import load
from gbench.data.spec import DataCard


@pytest.fixture
def shown(make_record, save, tmp_path, monkeypatch, capsys):
    """`shown(records, "--audit")`: what the command prints, and says beside it."""

    def call(records, *words):
        for place, record in enumerate(records):
            if not Path("runs", f"r{place}").exists():
                save(replace(record, run=f"r{place}"), Path("runs"))
        parser = argparse.ArgumentParser()
        leaderboard.add_arguments(parser)
        given = parser.parse_args([*words, "--cache-dir", "derived"])
        assert leaderboard.run(given) == 0
        return capsys.readouterr()

    monkeypatch.setenv("COLUMNS", "1000")
    monkeypatch.chdir(tmp_path)
    return call


def test_it_is_made_once_and_then_shown_without_asking(shown, make_record, tmp_path):
    config = compose(["data=csl", "model=gin"])
    card = DataCard.from_config(config["data"])
    fingerprint = load(card, tmp_path, tmp_path / "derived").fingerprint
    facts = {key: getattr(card, key) for key in ("split", "num_folds", "metric", "direction")}
    record = make_record(config, data="csl", model="gin", fingerprint=fingerprint, **facts)
    (table,) = rows([record], ())

    def stands():
        return kept_of(table, tmp_path / "derived")

    said = shown([record])
    assert "what a score is worth" not in said.out
    assert stands() is None  # never silently
    said = shown([record], "--audit")
    assert "\nwhat a score is worth (audit, means over 5 folds): " in said.out
    assert said.err.startswith("audit of csl, benchmarking-gnns-5-fold split\n")
    made = stands()
    said = shown([record], "--audit")
    assert "what a score is worth" in said.out
    assert said.err == ""
    assert stands() == made
    # one of other code is made anew
    old = replace(made, versions={**made.versions, "code": "older"}, facts=made.facts[:1])
    (path,) = (tmp_path / "derived" / "data" / "csl").glob("audit-*.json")
    old.write(path)
    shown([record])
    assert stands().versions["code"] == "older"
    shown([record], "--audit")
    assert stands().facts == made.facts


def test_what_cannot_be_had_is_told_and_left_out(shown, make_record, tmp_path):
    config = compose(["data=csl", "model=gin"])
    card = DataCard.from_config(config["data"])
    facts = {key: getattr(card, key) for key in ("split", "num_folds", "metric", "direction")}
    named = {"data": "csl", "fingerprint": "0" * 64}
    changed = make_record(config, **named, **facts)
    mine = {**config, "data": {**config["data"], "name": "mine", "_target_": "nowhere.load"}}
    own = make_record(mine, data="mine", identity="b")
    said = shown([changed, own], "--audit")
    first, second = [line for line in said.err.splitlines() if line.startswith("no audit")]
    assert first.startswith(
        "no audit of csl, benchmarking-gnns-5-fold split: the data here are not"
    )
    assert second.startswith("no audit of mine, public split: ")
    assert "nowhere" in second
    assert "what a score is worth" not in said.out
    assert "csl: accuracy" in said.out


def test_published_results_alone_are_audited_by_their_split(shown, monkeypatch):
    asked = []

    def audit(card, data_dir, cache_dir, source, tell):
        asked.append((card.name, card.split))
        return Audit(card.title, card.split, "f", ())

    monkeypatch.setattr("gbench.audits.audit.audit", audit)
    said = shown([], "data=imdb-binary", "--audit").err
    assert asked == [
        ("imdb-binary", "gin-10-fold-selects-on-test"),
        ("imdb-binary", "nested-10-fold"),
    ]
    assert said.count("audit of imdb-binary") == 2
    asked.clear()
    shown([], "data=tolokers", "--audit")  # which has one split
    assert asked == [("tolokers", "platonov")]
