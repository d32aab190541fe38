"""Points in real processes: what they compute, what their deaths cost, and how they stop."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from gbench.config.compose import compose
from gbench.folders import written_whole
from gbench.records.folder import Busy, claimed
from gbench.sweep.engine import run_all
from gbench.sweep.points import compose_all, run_folder
from gbench.sweep.queued import Outcome
from gbench.sweep.words import Options
from gbench.training import train

GBENCH = str(Path(sys.executable).parent / "gbench")
WHOLE = {".lock", "config.yaml", "metrics.csv", "best.ckpt", "record.json"}
SHORT = ("model=gcn", "data=csbm", "data.num_nodes=200", "trainer=cpu", "trainer.max_epochs=3")

TRAPS = """
import ctypes, os, signal, time
from datetime import UTC, datetime, timedelta
from pathlib import Path
import torch
import gbench.training
from gbench.errors import UserError


class Trap(torch.nn.Module):
    def __init__(self, spec, *, trap):
        super().__init__()
        assert torch.get_num_threads() == 2
        server = os.getppid()  # no thread, the kernel's word, that a fork would not take along
        assert len(os.listdir(f"/proc/{server}/task")) == 1
        assert not torch.cuda.is_initialized()
        self.head = torch.nn.Linear(spec.num_features, spec.num_outputs)
        if trap == "sigkill":
            os.kill(os.getpid(), signal.SIGKILL)
        if trap == "segfault":
            ctypes.string_at(0)
        if trap == "exit":
            os._exit(7)
        if trap == "raise":
            raise ValueError("sprung")
        if trap == "user":
            raise UserError("mend this")
        if trap == "once" and not Path("was-here").exists():
            Path("was-here").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if trap == "clock":
            now = datetime.now(UTC) - timedelta(hours=1)
            class Back(datetime):
                @classmethod
                def now(cls, zone=None):
                    return now
            gbench.training.datetime = Back
            time.time = now.timestamp

    def forward(self, batch):
        x = torch.ones(1 << 18)  # enough for torch to call its threads
        return self.head(batch.x) + 0 * (x + x).sum()
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """Sixteen points, eight at a time, in one sweep: healthy ones, and one of each accident."""
    folder = tmp_path_factory.mktemp("ein Ordner für 图")
    (folder / "model").mkdir()
    (folder / "traps.py").write_text(TRAPS)
    text = "# @package _global_\nmodel:\n  _target_: traps.Trap\n  trap: none\n"
    (folder / "model" / "trap.yaml").write_text(text)
    traps = "none,sigkill,segfault,exit,raise,user,once,clock"
    place, shape = f"runs_dir='{folder}/runs'", SHORT[1:]
    configs = [
        *compose_all(["model=trap", *shape, place, f"model.trap={traps}"], [folder]),
        *compose_all([*SHORT, place, "seeds=7"]),
        *compose_all([*SHORT, "runs_dir=/proc/runs"]),  # where nobody can write, root included
    ]
    before = Path.cwd()
    os.chdir(folder)
    here = dict(os.environ)
    # torch's threads would not survive a fork, had they begun; numpy's are begun anew
    os.environ.update(OMP_NUM_THREADS="2", OPENBLAS_NUM_THREADS="1")
    try:
        options = Options(jobs=8, retries=1)
        found = run_all(configs, options=options, console=Console(file=StringIO()))
    finally:
        os.chdir(before)
        os.environ.clear()
        os.environ.update(here)
    names = [*traps.split(","), *(f"seed {seed}" for seed in range(7)), "read-only"]
    return dict(zip(names, found, strict=True))


def test_a_death_costs_only_its_own_point(outcomes: dict[str, Outcome]) -> None:
    failed = {name for name, outcome in outcomes.items() if outcome.state == "failed"}
    assert failed == {"sigkill", "segfault", "exit", "raise", "user", "read-only"}
    assert {outcome.state for outcome in outcomes.values()} == {"finished", "failed"}


@pytest.mark.parametrize(
    ("trap", "error"),
    [
        ("sigkill", "its process was ended by SIGKILL: was the memory full?"),
        ("segfault", "its process was ended by SIGSEGV"),
        ("exit", "its process ended with exit code 7"),
        ("raise", "traps.py, line 25, in __init__: ValueError: sprung"),
        ("user", "mend this (traps.py, line 27, in __init__)"),
    ],
)
def test_an_accident_is_kept_with_its_error(
    outcomes: dict[str, Outcome], trap: str, error: str
) -> None:
    outcome = outcomes[trap]
    assert outcome.error == error
    kept = (outcome.folder / "error.txt").read_text()
    assert kept.splitlines()[0] == error
    assert ("Traceback" in kept) == (trap == "raise")


def test_the_stack_of_a_crash_is_kept(outcomes: dict[str, Outcome]) -> None:
    for trap in ("segfault", "raise"):
        printed = (outcomes[trap].folder / "output.txt").read_text()
        assert "traps.py" in printed
        assert "__init__" in printed


def test_a_point_that_was_killed_once_finishes(outcomes: dict[str, Outcome]) -> None:
    assert {path.name for path in outcomes["once"].folder.iterdir()} == WHOLE | {"code"}


def test_a_runs_folder_that_cannot_be_written_is_told(outcomes: dict[str, Outcome]) -> None:
    assert "choose another with runs_dir=FOLDER" in outcomes["read-only"].error


def test_a_clock_that_goes_back_disturbs_nothing(outcomes: dict[str, Outcome]) -> None:
    record = outcomes["clock"].record
    assert record is not None
    assert record.finished < record.started
    assert record.seconds_total > 0


def test_results_are_those_of_a_plain_run(outcomes: dict[str, Outcome], tmp_path: Path) -> None:
    for seed in (0, 6):
        config = compose([*SHORT, f"runs_dir={tmp_path}", f"seed={seed}"])
        torch.set_num_threads(1)
        plain = train(config, run_folder(config), Console(quiet=True))
        swept = outcomes[f"seed {seed}"].record
        assert plain is not None
        assert swept is not None
        assert (swept.test, swept.valid, swept.best_epoch, swept.identity) == (
            plain.test,
            plain.valid,
            plain.best_epoch,
            plain.identity,
        )
        assert {path.name for path in outcomes[f"seed {seed}"].folder.iterdir()} == WHOLE


def test_two_sweeps_share_the_points_and_one_outlives_the_other(
    held: Path, wait_until: Any, tmp_path: Path
) -> None:
    """Ctrl-C ends the first while its points train; what it left undone the second takes over."""
    settings = ["model=held", *SHORT[1:-1], "trainer.max_epochs=9", "seeds=3", "jobs=2"]
    command = [GBENCH, "train", "--config-dir", str(held), *settings, f"runs_dir={tmp_path}"]
    with (tmp_path / "1.txt").open("w") as first, (tmp_path / "2.txt").open("w") as second:
        sweeps = [subprocess.Popen(command, stderr=output) for output in (first, second)]
        wait_until(lambda: len([*held.glob("held-*")]) == 3, *sweeps)
        sweeps[0].send_signal(signal.SIGINT)
        assert sweeps[0].wait() == 130
        (held / "go").touch()
        assert sweeps[1].wait() == 0
    texts = [(tmp_path / f"{number}.txt").read_text() for number in (1, 2)]
    finished = re.findall(r"(seed \d)  ✓ test", texts[1])
    assert sorted(finished) == ["seed 0", "seed 1", "seed 2"]
    assert "✓ test" not in texts[0]
    assert "The same command goes on" in texts[0]
    left = {name: folder for folder in tmp_path.glob("csbm-*") for name in [folder.name]}
    assert len(left) == 3
    for folder in left.values():
        assert {path.name for path in folder.iterdir()} >= WHOLE
        assert not (folder / "last.ckpt").exists()


def test_kills_lose_nothing() -> None:
    """The long version: scripts/kill_sweep.py, 30 points."""
    script = Path(__file__).parents[2] / "scripts" / "kill_sweep.py"
    command = [sys.executable, script, "--points", "3", "--kills", "4", "--epochs", "10"]
    answer = subprocess.run(command, capture_output=True, text=True)
    kills = "3 points, 4 kills (2 of a point, 1 of the fork server, 1 of the sweep)"
    assert kills in answer.stdout, answer.stderr
    assert answer.returncode == 0, f"{answer.stdout}\n{answer.stderr}"


def test_a_folder_is_held_and_cleared_of_what_a_killed_process_left(tmp_path: Path) -> None:
    part = tmp_path / ".last.ckpt.99.part"
    part.write_text("half")
    with claimed(tmp_path):
        assert not part.exists()
        with pytest.raises(Busy, match="is being trained by another process"), claimed(tmp_path):
            pass
        with written_whole(tmp_path / "file") as file:
            file.write(b"whole")
    assert (tmp_path / "file").read_bytes() == b"whole"
