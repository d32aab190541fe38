"""Offline runs on their way to wandb and back: real trainings and wandb's real client.

The server is a stand-in (wandb_service.py), not Weights & Biases' own: it speaks the protocol that
the client was seen to use, and nothing here shows what the real one would make of it.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gbench.cli.main import main
from gbench.mirror import offline as wandb_offline
from gbench.mirror import source as wandb_source
from gbench.train.interrupt import Interrupted

from .wandb_service import Service, serving

WORDS = ("model=gcn", "data=csbm", "logger=wandb", "trainer.select=best")
SHORT = (*WORDS, "trainer.max_epochs=2")

# Trains until after an epoch's row was logged and a checkpoint was left, then dies at once.
KILLED = """
import os, signal, sys
from pathlib import Path
from gbench.cli.main import main
from gbench.train.epochs import Epochs
from gbench.train import loader

loader.ROUND_SECONDS = 0.0
end_epoch = Epochs.end_epoch

def cut(self, trainer, task):
    end_epoch(self, trainer, task)
    if task.epoch == 3:
        os.kill(os.getpid(), signal.SIGKILL)

Epochs.end_epoch = cut
main(["train", *sys.argv[1:]])
"""


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Nobody is logged in; runs land below this folder."""
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def service() -> Iterator[Service]:
    with serving() as service:
        yield service


def log_in(service: Service) -> None:
    """For this process: the fixture `offline` takes it back."""
    os.environ["WANDB_BASE_URL"], os.environ["WANDB_API_KEY"] = service.url, "0" * 40
    if "wandb" in sys.modules:  # it reads its environment once
        sys.modules["wandb"].teardown()


def log_out() -> None:
    del os.environ["WANDB_BASE_URL"], os.environ["WANDB_API_KEY"]
    sys.modules["wandb"].teardown()


def killed(*words: str) -> None:
    command = [sys.executable, "-c", KILLED, "trainer=cpu", *words]
    assert subprocess.run(command, capture_output=True).returncode == -signal.SIGKILL


def test_every_run_is_one_with_its_true_end(
    offline: Path,
    service: Service,
    run: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from gbench.train.epochs import Epochs

    records = [run(*SHORT, f"seed={seed}")[0] for seed in range(2)]
    long = (*WORDS, "trainer.max_epochs=5", "seed=2")
    killed(*long, f"runs_dir={offline}/runs")
    with monkeypatch.context() as patch:
        patch.setattr(Epochs, "end_epoch", lambda *_: (_ for _ in ()).throw(Interrupted(15)))
        with pytest.raises(Interrupted):
            run(*SHORT, "seed=3")

    log_in(service)
    assert main(["sync"]) == 0
    assert capsys.readouterr().out.count(": uploaded\n") == 4
    names = sorted(folder.name for folder in (offline / "runs").iterdir())
    assert sorted(service.runs) == names
    ends = {run.settings()["seed"]: run for run in service.runs.values()}
    assert [ends[seed].exit_code for seed in range(4)] == [0, 0, 1, 143]
    for record in records:
        mirrored = service.runs[record.run]
        assert mirrored.group == f"csbm-gcn-{record.identity}" == service.runs[records[0].run].group
        assert mirrored.job_type == "train"
        assert mirrored.tags == ["gcn", "csbm"]
        told = {k: v for k, v in record.config["optim"].items() if v != {}}  # wandb keeps no {}
        assert mirrored.settings()["optim"] == told
        assert json.loads(mirrored.summary)["test"] == record.test
        assert max(row["valid"] for row in mirrored.history) == record.valid
    assert main(["sync"]) == 0
    assert capsys.readouterr().out == "nothing to upload\n"

    found, problems = wandb_source.find("wandb:me/gbench")
    assert problems == []
    assert sorted(found, key=lambda record: record.seed) == records  # exactly, and no other

    # the killed one is continued: it finishes as the same run, without a hole in its curve
    log_out()
    record, _ = run(*long)
    log_in(service)
    assert main(["sync"]) == 0
    assert sorted(service.runs) == names
    assert ends[2].state == "finished"
    curve = {row["trainer/global_step"]: row["valid"] for row in ends[2].history}
    assert sorted(curve) == list(range(5))
    assert curve[record.best_epoch - 1] == record.valid
    assert record in wandb_source.find("wandb:me/gbench")[0]


def test_what_was_refused_is_said_and_sent_the_next_time(
    offline: Path, service: Service, run: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    record, _ = run(*SHORT)
    other, _ = run(*SHORT, "seed=1")
    service.refuse.add(record.run)
    log_in(service)
    assert main(["sync"]) == 2
    said = capsys.readouterr()
    assert f"{other.run}: uploaded" in said.out
    assert f"{record.run}: " in said.out
    assert "permission denied" in said.out
    assert "1 of 2 runs were not uploaded" in said.err
    service.refuse.clear()
    assert main(["sync"]) == 0
    assert len(service.runs) == 2

    capsys.readouterr()
    assert main(["leaderboard", "--from", "wandb:me/gbench", "--format", "json"]) == 0
    mirrored = json.loads(capsys.readouterr().out)
    assert main(["leaderboard", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == mirrored

    assert main(["sync", "--rows"]) == 0  # and the mean of the two as a run of its own
    (row,) = [run for run in service.runs.values() if run.job_type == "aggregate"]
    summary = json.loads(row.summary)
    assert summary["n"] == 2
    assert summary["test_mean"] == pytest.approx((record.test + other.test) / 2)
    assert row.group == service.runs[record.run].group
    assert main(["sync", "--rows"]) == 0
    assert len(service.runs) == 3  # the same row again
    assert len(wandb_source.find("wandb:me/gbench")[0]) == 2  # a row is no run


def test_without_a_login_or_a_server_nothing_is_tried(
    offline: Path, run: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, folder = run(*SHORT)
    assert main(["sync"]) == 2
    assert "no wandb login" in capsys.readouterr().err
    with serving() as gone:
        log_in(gone)
    assert main(["sync"]) == 2
    assert "does not answer" in capsys.readouterr().err
    assert main(["leaderboard", "--from", "wandb:me/gbench"]) == 2
    assert "does not answer" in capsys.readouterr().err
    assert len(wandb_offline.unsent(folder)) == 1


def test_a_project_that_is_not_there_and_a_record_from_the_future(
    offline: Path, service: Service, run: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    record, _ = run(*SHORT)
    log_in(service)
    assert main(["sync"]) == 0
    for place in ("wandb:me/other", "wandb:gbench", "me/gbench"):
        assert main(["leaderboard", "--from", place]) == 2
    said = capsys.readouterr().err
    assert "Could not find project other" in said
    assert said.count("type wandb:ENTITY/PROJECT") == 2
    mirrored = service.runs[record.run]
    newer = dataclasses.replace(record, schema=99).to_json()
    mirrored.summary = json.dumps({**json.loads(mirrored.summary), "record": newer})
    found, (problem,) = wandb_source.find("wandb:me/gbench")
    assert found == []
    assert "schema 99 is newer" in problem.reason


def test_only_what_is_cut_or_untrue_is_taken_away(offline: Path, run: Any) -> None:
    _, folder = run(*SHORT)
    (file,) = wandb_offline.unsent(folder)
    wandb_offline._wait_for_writer(file)
    whole = file.read_bytes()
    wandb_offline.mend(file, finished=True)
    assert file.read_bytes() == whole
    for cut in (1, 5, 8, len(whole) // 2):
        file.write_bytes(whole[:-cut])
        wandb_offline.mend(file, finished=True)
        kept = file.read_bytes()
        assert whole.startswith(kept)
        assert len(whole) - 8000 < len(kept) + cut <= len(whole)
        wandb_offline.mend(file, finished=True)
        assert file.read_bytes() == kept
    file.write_bytes(whole)
    for _ in range(2):  # the end, and nothing else
        wandb_offline.mend(file, finished=False)
        assert len(whole) - 100 < len(file.read_bytes()) < len(whole)


@pytest.mark.parametrize("code", [None, 0, 1, 143, 300, -9])
def test_an_entry_tells_the_exit_code_that_wandb_wrote(code: int | None) -> None:
    from wandb.proto.wandb_internal_pb2 import Record

    record = Record(num=7)
    record.control.mailbox_slot = "x" * 200
    if code is None:
        record.history.step.num = 3
    else:
        record.exit.exit_code = code
        record.exit.runtime = 1000
    assert wandb_offline._exit_code(record.SerializeToString()) == code
    assert wandb_offline._exit_code(record.SerializeToString()[:3]) is None
