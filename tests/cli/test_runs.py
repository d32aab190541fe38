"""gbench runs: what is listed, and that moving and deleting touch only what they should."""

from __future__ import annotations

import fcntl
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from gbench.cli.main import main
from gbench.errors import UserError
from gbench.records import archive
from gbench.records.find import find

from .conftest import Answer

DONE = "done-s0"


@pytest.fixture
def runs(
    trained: tuple[Path, Answer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """One run of each state, below the current folder; the one in training is held by this test."""
    (source,) = trained[0].glob("runs/*")
    runs = tmp_path / "runs"
    for name in (DONE, "cut-s1", "bad-s2", "now-s3", "torn-s4"):
        shutil.copytree(source, runs / name)
        if name not in (DONE, "torn-s4"):
            (runs / name / "record.json").unlink()
    (runs / "bad-s2" / "error.txt").write_text("the training loss became nan\n")
    (runs / "torn-s4" / "record.json").write_text("{")
    monkeypatch.chdir(tmp_path)
    with (runs / "now-s3" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield runs


def listed(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, str]:
    capsys.readouterr()
    assert main(["runs", *words, "--json"]) == 0
    return {row["run"]: row["state"] for row in json.loads(capsys.readouterr().out)}


def test_every_state_is_told_apart(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    states = {
        "bad-s2": "failed",
        "cut-s1": "interrupted",
        DONE: "finished",
        "now-s3": "running",
        "torn-s4": "damaged",
    }
    assert listed(capsys) == states
    assert main(["runs"]) == 0
    out = capsys.readouterr().out
    assert "the training loss became nan" in out
    assert "not valid JSON" in out
    assert listed(capsys, "state=failed,running") == {"bad-s2": "failed", "now-s3": "running"}
    assert listed(capsys, "data=csbm", "model=gcn", "state=finished") == {DONE: "finished"}
    assert listed(capsys, "data=cora") == {}


def test_a_failed_training_is_listed_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["train", "model=gcn", "data=csbm", "optim.lr=1e38", "trainer.max_epochs=3"]
    assert main([*words, "logger=none"]) == 2
    capsys.readouterr()
    assert main(["runs", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["state"], row["test"]) == ("failed", None)
    assert "nan" in row["note"]


def test_tags_come_and_go_and_filter(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "tag", DONE, "cut", "best"]) == 0
    assert main(["runs", "tag", "state=finished", "thesis"]) == 0
    assert listed(capsys, "tag=best") == {"cut-s1": "interrupted", DONE: "finished"}
    assert listed(capsys, "tag=thesis") == {DONE: "finished"}
    assert main(["runs", "untag", DONE, "best"]) == 0
    assert listed(capsys, "tag=best") == {"cut-s1": "interrupted"}
    assert main(["runs", "untag", "cut-s1", "best"]) == 0
    assert not (runs / "cut-s1" / "tags.json").exists()
    assert main(["runs", "untag", "cut-s1", "best"]) == 2
    assert main(["runs", "tag", DONE, "two words"]) == 2
    assert "is no tag" in capsys.readouterr().err


def test_archived_runs_count_nowhere_and_come_back_whole(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {p.relative_to(runs): p.read_bytes() for p in (runs / DONE).rglob("*") if p.is_file()}
    assert main(["runs", "archive", DONE]) == 0
    assert find([runs])[0] == []
    assert DONE not in listed(capsys)
    assert listed(capsys, "--archived") == {DONE: "finished"}
    assert main(["runs", "archive", DONE]) == 2  # no run of that name is left
    assert main(["runs", "restore", DONE]) == 0
    after = {p.relative_to(runs): p.read_bytes() for p in (runs / DONE).rglob("*") if p.is_file()}
    assert after == before
    assert not (runs / "archived").exists()
    assert [record.epochs for record in find([runs])[0]] == [3]


def test_what_is_being_trained_stays(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for action in (["archive"], ["delete", "--yes"]):
        assert main(["runs", *action, "now-s3"]) == 2
        assert "is being trained" in capsys.readouterr().err
    assert (runs / "now-s3" / "config.yaml").exists()


def test_delete_asks_and_takes_only_yes(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert main(["runs", "delete", DONE]) == 2  # nobody to ask
    assert "Add --yes" in capsys.readouterr().err
    for answer in ("\n", "n\n", "x\n"):
        monkeypatch.setattr("sys.stdin", Terminal(answer))
        assert main(["runs", "delete", DONE]) == 0
        assert (runs / DONE).exists()
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    assert main(["runs", "delete", DONE, "state=finished"]) == 0
    assert not (runs / DONE).exists()
    assert main(["runs", "delete", "--yes", "state=interrupted,failed"]) == 0
    assert sorted(path.name for path in runs.iterdir()) == ["now-s3", "torn-s4"]


def test_links_are_never_followed(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(runs / DONE, elsewhere / "precious")
    (runs / "linked-s9").symlink_to(elsewhere / "precious")
    assert main(["runs", "delete", "linked-s9", "--yes"]) == 2
    assert "is a link" in capsys.readouterr().err
    (runs / "cut-s1" / "kept").symlink_to(elsewhere)
    assert main(["runs", "delete", "cut-s1", "--yes"]) == 0
    assert (elsewhere / "precious" / "record.json").exists()
    (tmp_path / "other").symlink_to(runs)  # a link to the runs folder itself is a name of it
    assert main(["runs", "delete", "bad-s2", "--yes", "--runs-dir", "other"]) == 0
    assert not (runs / "bad-s2").exists()


def test_a_deletion_that_was_cut_leaves_nothing_that_looks_like_a_run(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(archive.shutil, "rmtree", lambda path: (_ for _ in ()).throw(OSError("cut")))
        with pytest.raises(UserError, match="could not be removed whole"):
            archive.delete(runs / DONE)
    assert DONE not in listed(capsys)
    assert find([runs])[0] == []
    shutil.copytree(runs / f".{DONE}.deleted", runs / DONE)
    archive.delete(runs / DONE)
    assert not any(DONE in path.name for path in runs.iterdir())


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["delte", DONE], "unknown action 'delte': did you mean 'delete'?"),
        (["stat=failed"], "unknown filter 'stat': did you mean 'state'?"),
        (["state=fialed"], "unknown state 'fialed': did you mean 'failed'?"),
        (["delete"], "which?"),
        (["tag", DONE], "which word?"),
        (["delete", "data=cora", "--yes"], "no run is data=cora"),
        (["--runs-dir", "nowhere"], "nowhere is no folder"),
    ],
)
def test_mistakes(
    words: list[str], says: str, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["runs", *words]) == 2
    assert says in capsys.readouterr().err


def test_files_edited_by_hand_are_told_and_stop_nobody(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (runs / DONE / "tags.json").write_text('{"a": 1}')
    (runs / "cut-s1" / "config.yaml").write_text(yaml.safe_dump({"seed": 1}))
    states = listed(capsys)
    assert states[DONE] == states["cut-s1"] == "damaged"
    assert states["bad-s2"] == "failed"
