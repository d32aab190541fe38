"""Sweeps from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gbench.cli.main import main

SHORT = "model: gcn\ndata: csbm\ndata.num_nodes: 200\ntrainer: cpu\ntrainer.max_epochs: 2\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "words",
    [("train", "model=gcn,gni", "data=csbm", "seeds=3"), ("sweep", "bad.yaml")],
    ids=["train", "file"],
)
def test_nothing_starts_if_one_point_cannot(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("bad.yaml").write_text("model: [gcn, gni]\ndata: csbm\n")
    assert main(words) == 2
    assert "model=gni: unknown model 'gni'" in capsys.readouterr().err
    assert not Path("runs").exists()


@pytest.mark.parametrize("word", ["trainer.also=[ece],[mcc]", "logger=csv,none", "trials=1,2"])
def test_values_that_make_no_runs_of_their_own_are_refused(
    word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "model=gcn", "data=csbm", word]) == 2
    said = capsys.readouterr().err
    assert word.partition("=")[0] in said and "are one run: give one value" in said
    assert not Path("runs").exists()


def test_a_file_is_carried_out_and_shown_again(capsys: pytest.CaptureFixture[str]) -> None:
    Path("sweep.yaml").write_text(f"{SHORT}model.hidden_dim: [4, 8]\nseeds: 5\n")
    assert main(["sweep", "sweep.yaml", "seeds=2", "jobs=2", "--json"]) == 0
    said = capsys.readouterr()
    assert "4 runs, 2 at a time" in said.err
    assert "4/4  gcn · csbm · num_nodes=200 · hidden_dim=" in said.err
    assert "gbench leaderboard 'data=csbm num_nodes=200'" in said.err
    records, rest = [], said.out
    while rest:
        record, end = json.JSONDecoder().raw_decode(rest)
        records.append(record)
        rest = rest[end:].lstrip()
    shape = [(record["config"]["model"]["hidden_dim"], record["seed"]) for record in records]
    assert shape == [(4, 0), (4, 1), (8, 0), (8, 1)]

    assert main(["sweep", "sweep.yaml", "seeds=2", "--json"]) == 0
    again = capsys.readouterr()
    assert "All of these have finished before" in again.err
    assert again.out == said.out and "trainer.also" not in again.err
    assert main(["sweep", "sweep.yaml", "seeds=2", "trainer.also=[ece,mcc]"]) == 0
    assert "have no ece, mcc, which trainer.also asks for; --force" in capsys.readouterr().err


def test_force_runs_the_points_again_and_keeps_the_old_ones(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from gbench.sweep import engine

    Path("sweep.yaml").write_text(f"{SHORT}seeds: 2\n")
    seen: list[bool] = []

    def look(configs: list[engine.Config], **_: object) -> engine.Outcomes:
        folders = [engine.run_folder(config) for config in configs]
        seen.extend(folder.exists() for folder in folders)
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        return engine.Outcomes()

    monkeypatch.setattr(engine, "run_all", look)
    main(["sweep", "sweep.yaml"])
    main(["sweep", "sweep.yaml", "--force"])
    assert seen == [False] * 4
    assert len([*Path("runs/replaced").iterdir()]) == 2
