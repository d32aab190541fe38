"""The letters that points on other machines write, and who removes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gbench.config.compose import Config
from gbench.sweep import remote
from gbench.sweep.job import Job, Send
from gbench.sweep.remote import Posted, Remote

Configs = Callable[[int], list[Config]]


class Nowhere:
    """A cluster that takes everything and does nothing."""

    def submit(self, work: Posted) -> Posted:
        return work

    def heard(self, handle: Posted) -> None:
        return None

    def cancel(self, handles: object, at_once: bool) -> None: ...

    def close(self) -> None: ...


def started(config: Config, folder: Path) -> Remote:
    executor = Remote(Nowhere(), 1, "")
    executor.start(0, config, folder)
    return executor


def test_letters_of_a_killed_command_are_removed_and_those_of_one_at_work_are_not(
    configs: Configs, tmp_path: Path
) -> None:
    (config,) = configs(1)
    killed, at_work = (started(config, tmp_path / name) for name in ("a", "b"))
    killed.lock.close()  # as the kernel does
    third = started(config, tmp_path / "c")
    boxes = tmp_path / "runs" / ".letters"
    assert {*boxes.glob("*")} == {at_work.letters, third.letters}
    for executor in (at_work, third):
        executor.close()
    assert not boxes.exists()


def test_what_a_point_says_is_heard_and_a_half_written_line_waits(
    configs: Configs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "LOOK_SECONDS", 0.0)
    executor = started(configs(1)[0], tmp_path / "a")
    letters = executor.running[0].letters
    letters.write_text('{"kind": "started"}\n{"kind": "pro')
    assert executor.wait(0) == [(0, {"kind": "started"})]
    with letters.open("a") as file:
        file.write('gress"}\n')
    assert executor.wait(0) == [(0, {"kind": "progress"})]


def test_a_point_that_nobody_listens_to_does_its_work(
    configs: Configs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def work(job: Job, send: Send) -> dict[str, str]:
        send({"kind": "progress"})
        return {"kind": "end", "state": "finished"}

    monkeypatch.setattr(remote, "carry_out", work)
    job = Job(configs(1)[0], tmp_path / "a", 0, None)
    done = Posted(job, tmp_path / "removed" / "letters", tmp_path, [])()
    assert done == {"kind": "end", "state": "finished"}
    assert not (tmp_path / "removed").exists()
