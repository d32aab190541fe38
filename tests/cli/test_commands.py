"""Every verb as a user runs it: what lands on stdout, on stderr, and in the exit code."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from gbench import __version__
from gbench.choices import choices
from gbench.losses import LOSSES
from gbench.metrics import METRICS

from .conftest import GBENCH, SHORT, Answer, Command


def test_train_json_prints_the_record_and_nothing_else(trained: tuple[Path, Answer]) -> None:
    folder, answer = trained
    assert answer.returncode == 0, answer.stderr
    record = json.loads(answer.stdout)
    (written,) = folder.glob("runs/*/record.json")
    assert record == json.loads(written.read_text())
    assert (record["model"], record["data"], record["epochs"]) == ("gcn", "csbm", 3)


def test_progress_and_summary_go_to_stderr_without_noise(trained: tuple[Path, Answer]) -> None:
    _, answer = trained
    lines = answer.stderr.splitlines()
    assert any(line.startswith("epoch 3/3  loss ") for line in lines)
    record = json.loads(answer.stdout)
    assert f"test accuracy   {100 * record['test']:.2f} %" in answer.stderr
    assert "gbench leaderboard data=csbm" in answer.stderr
    for noise in ("Tip", "GPU available", "Warning", "warn", "litlogger", "Trainer"):
        assert noise not in answer.stderr


def test_the_same_command_again_shows_the_run(
    trained: tuple[Path, Answer], gbench: Command
) -> None:
    folder, first = trained
    before = {path: path.stat().st_mtime_ns for path in folder.glob("runs/*/*")}
    again = gbench("train", *SHORT, "--json", cwd=folder)
    assert again.returncode == 0
    assert "has finished before" in again.stderr
    assert json.loads(again.stdout) == json.loads(first.stdout)
    assert {path: path.stat().st_mtime_ns for path in folder.glob("runs/*/*")} == before


def test_eval_finds_the_recorded_metrics_by_part_of_the_name(
    trained: tuple[Path, Answer], gbench: Command
) -> None:
    folder, first = trained
    answer = gbench("eval", "csbm-gcn", "--json", cwd=folder)
    assert answer.returncode == 0, answer.stderr
    record, found = json.loads(first.stdout), json.loads(answer.stdout)
    assert found["valid"] == pytest.approx(record["valid"])
    assert found["test"] == pytest.approx(record["test"])


def test_leaderboard_in_every_format(trained: tuple[Path, Answer], gbench: Command) -> None:
    folder, first = trained
    record = json.loads(first.stdout)
    percent = f"{100 * record['test']:.2f}"
    for style in ("table", "md", "latex"):
        answer = gbench("leaderboard", "--format", style, "data=csbm", cwd=folder)
        assert answer.returncode == 0
        assert percent in answer.stdout
    rows = list(
        csv.DictReader(io.StringIO(gbench("leaderboard", "--format", "csv", cwd=folder).stdout))
    )
    assert float(rows[0]["test_mean"]) == record["test"]
    answer = gbench("leaderboard", "runs", "--format", "json", cwd=folder)
    (table,) = json.loads(answer.stdout)["tables"]
    assert table["rows"][0]["identity"] == record["identity"]


def test_force_keeps_the_old_run_aside(
    trained: tuple[Path, Answer], gbench: Command, tmp_path: Path
) -> None:
    words = (*SHORT, "trainer.max_epochs=1", f"runs_dir={tmp_path}/elsewhere")
    assert gbench("train", *words, cwd=tmp_path).returncode == 0
    (old,) = tmp_path.glob("elsewhere/*/record.json")
    kept = old.read_text()
    assert gbench("train", *words, "--force", cwd=tmp_path).returncode == 0
    (aside,) = tmp_path.glob("elsewhere/replaced/*/record.json")
    assert aside.read_text() == kept
    assert json.loads(old.read_text())["started"] >= json.loads(kept)["started"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["trian"], "unknown verb 'trian': did you mean 'train'?"),
        (["train", "model=ginn"], "unknown model 'ginn': did you mean 'gin'? available: "),
        (["train", "optim.lr=fast"], "optim.lr=fast: expected a number"),
        (["train", "model=sgc"], "sgc works on node-level datasets, and digits is graph-level"),
        (["train", "--forse"], "unknown option '--forse'"),
        (["eval", "nothing"], "no run 'nothing'"),
        (["resume", "nothing"], "no run 'nothing'"),
        (["list", "modles"], "unknown list 'modles': did you mean 'models'?"),
        (["data", "info", "coraa"], "unknown dataset 'coraa': did you mean 'cora'?"),
        (["data", "gte"], "unknown action 'gte': did you mean 'get'?"),
        (["leaderboard"], "gbench train"),
        (["completion", "bsh"], "did you mean 'bash'?"),
    ],
)
def test_a_mistake_is_one_message_with_exit_code_2(
    words: list[str], says: str, gbench: Command, tmp_path: Path
) -> None:
    answer = gbench(*words, cwd=tmp_path)
    assert answer.returncode == 2
    assert says in answer.stderr
    assert "Traceback" not in answer.stderr
    assert answer.stdout == ""
    assert list(tmp_path.iterdir()) == []  # a mistake leaves nothing behind


def test_missing_raw_files_without_network_name_files_folder_and_alternatives(
    gbench: Command, tmp_path: Path
) -> None:
    answer = gbench(
        "train", "model=gcn", "data=cora", f"data_dir={tmp_path}/raw", f"cache_dir={tmp_path}/c",
        cwd=tmp_path, env={"https_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"},
    )  # fmt: skip
    assert answer.returncode == 2
    for part in ("ind.cora.graph", f"{tmp_path}/raw/Planetoid/Cora/raw", "data=digits"):
        assert part in answer.stderr
    assert "Traceback" not in answer.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("send", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_a_run_in_the_midst_of_a_step_and_resume_finishes(
    send: signal.Signals, gbench: Command, held: Path, wait_until: Any, tmp_path: Path
) -> None:
    words = [GBENCH, "train", "--config-dir", held, "model=held", "data=csbm"]
    process = subprocess.Popen(
        [*words, "trainer.max_epochs=9"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    wait_until(lambda: [*held.glob("held-*")], process)
    process.send_signal(send)  # the step would never end by itself
    told = process.communicate()[1]
    assert process.returncode == 128 + send
    assert "gbench resume" in told
    assert "Traceback" not in told

    (held / "go").touch()
    (run,) = (tmp_path / "runs").iterdir()
    answer = gbench("resume", run.name, "--json", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "continuing" in answer.stderr
    assert json.loads(answer.stdout)["epochs"] == 9
    with (run / "metrics.csv").open() as file:
        assert [int(row["step"]) for row in csv.DictReader(file)] == list(range(9))


def test_two_processes_do_not_train_in_one_folder(
    gbench: Command, held: Path, wait_until: Any, tmp_path: Path
) -> None:
    words = ["train", "--config-dir", str(held), "model=held", "data=csbm"]
    first = subprocess.Popen([GBENCH, *words], cwd=tmp_path, stderr=subprocess.DEVNULL, text=True)
    try:
        wait_until(lambda: [*held.glob("held-*")], first)
        answer = gbench(*words, cwd=tmp_path)
        assert answer.returncode == 2
        assert "is being trained by another process" in answer.stderr
    finally:
        first.kill()
        first.wait()


def test_show_prints_the_config_as_yaml(gbench: Command, tmp_path: Path) -> None:
    answer = gbench("show", "model=gin", "data=ogbg-molhiv", cwd=tmp_path)
    assert answer.returncode == 0
    config = yaml.safe_load(answer.stdout)
    assert (config["model"]["hidden_dim"], config["data"]["metric"]) == (300, "rocauc")
    assert list(tmp_path.iterdir()) == []


def test_list_and_version(gbench: Command, tmp_path: Path) -> None:
    assert gbench("--version", cwd=tmp_path).stdout == f"gbench {__version__}\n"
    listed = gbench("list", cwd=tmp_path).stdout
    for group in ("model", "data", "trainer", "logger", "experiment"):
        assert all(f"  {name} " in listed for name in choices(group))
    assert all(f"\n  {name} " in listed for name in (*METRICS, *LOSSES))
    told = gbench("list", "metrics", cwd=tmp_path).stdout
    assert "\n  ece                classes: lower is better\n" in told and "focal" not in told


def test_doctor_finds_this_machine_healthy(gbench: Command, tmp_path: Path) -> None:
    answer = gbench("doctor", cwd=tmp_path)
    assert answer.returncode == 0, answer.stdout
    assert "agree with dense algebra" in answer.stdout
    assert "peak memory" in answer.stdout
    assert os.environ["GBENCH_CACHE"] in answer.stdout


@pytest.mark.parametrize(
    ("line", "offers"),
    [
        ("gbench tr", ["train"]),
        ("gbench train model=gi", ["model=gin", "model=gin-vn"]),
        ("gbench train model=sgc model.h", ["model.hops="]),
        ("gbench ch", ["check"]),
        ("gbench check encoding=rw", ["encoding=rwse"]),
        ("gbench list mo", ["models"]),
        ("gbench list me", ["metrics"]),
        ("gbench data info cora", ["cora"]),
    ],
)
def test_completion(line: str, offers: list[str], gbench: Command, tmp_path: Path) -> None:
    assert gbench("completion", "--for", line, cwd=tmp_path).stdout.split() == offers


@pytest.mark.parametrize("words", [["--help"], ["list"], ["completion", "--for", "gbench train m"]])
def test_light_verbs_import_neither_torch_nor_hydra(words: list[str]) -> None:
    code = (
        f"import sys; from gbench.cli.main import main; main({words!r})\n"
        "heavy = ('torch', 'hydra', 'omegaconf', 'lightning', 'numpy')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.splitlines()[-1] == "[]"
