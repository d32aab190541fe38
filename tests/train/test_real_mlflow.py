"""Runs that are mirrored to a real MLflow server. About a minute."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

pytestmark = pytest.mark.companions
SHORT = ("model=gcn", "data=csbm", "logger=mlflow")
NEEDED = (
    "needs an MLflow server, which mlflow-skinny is not: pip install mlflow in an environment of "
    "its own, and GBENCH_MLFLOW=THAT/bin/mlflow"
)


@pytest.fixture
def server(tmp_path: Path, companions: None) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Its address, and its process, the first of a group."""
    program = os.environ.get("GBENCH_MLFLOW") or shutil.which("mlflow")
    if (
        program is None
        or subprocess.run([program, "server", "--help"], capture_output=True).returncode
    ):
        pytest.skip(NEEDED)
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        port = place.getsockname()[1]
    store = f"--backend-store-uri=sqlite:///{tmp_path}/mlflow.db"
    with (tmp_path / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [program, "server", "--host=127.0.0.1", f"--port={port}", store, "--workers=1"],
            stdout=log, stderr=log, start_new_session=True, cwd=tmp_path,
        )  # fmt: skip

    def answers() -> bool:
        if process.poll() is not None:
            pytest.skip(NEEDED)
        try:
            with urlopen(f"http://127.0.0.1:{port}/health") as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    while not answers():
        time.sleep(0.2)
    yield f"http://127.0.0.1:{port}", process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_two_first_runs_make_one_experiment_with_what_they_did(
    server: tuple[str, Any], tmp_path: Path
) -> None:
    mlflow = pytest.importorskip("mlflow")
    uri, _ = server
    words = (*SHORT, "seeds=2", "trainer.max_epochs=30", "retries=0", "jobs=2")
    done = subprocess.run(
        [sys.executable, "-m", "gbench", "train", *words, f"logger.tracking_uri={uri}"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    client = mlflow.MlflowClient(uri)
    found = client.search_runs([client.get_experiment_by_name("gbench").experiment_id])
    assert len(found) == 2
    for mirrored in found:
        assert mirrored.info.status == "FINISHED"
        with (tmp_path / "runs" / mirrored.info.run_name / "metrics.csv").open() as file:
            valid = [float(row["valid"]) for row in csv.DictReader(file)]
        history = client.get_metric_history(mirrored.info.run_id, "valid")
        assert {m.step: m.value for m in history} == dict(enumerate(valid))
        (tested,) = client.get_metric_history(mirrored.info.run_id, "tested/valid")
        assert tested.value == valid[tested.step]


def test_a_server_that_is_killed_stops_no_run(
    server: tuple[str, Any],
    run: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from gbench.train.epochs import Epochs

    uri, process = server
    end_epoch = Epochs.end_epoch

    def kill(self: Epochs, trainer: Any, task: Any) -> None:
        end_epoch(self, trainer, task)
        if task.epoch == 5:
            os.killpg(process.pid, signal.SIGKILL)

    monkeypatch.setattr(Epochs, "end_epoch", kill)
    record, _ = run(*SHORT, "trainer.max_epochs=20", f"logger.tracking_uri={uri}")
    assert record.epochs == 20
    assert "metrics.csv has them" in capsys.readouterr().err
