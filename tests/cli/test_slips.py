"""Slips of the hand: each is one sentence that says what to type, with exit code 2."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from gbench.cli.main import main


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("sweep", "gbench sweep FILE: which?"),
        ("eval", "gbench eval RUN: which?"),
        ("compare", "gbench compare RUN: which?"),
        ("data", "gbench data get|info|list|audit|clean: which?"),
        ("doctor extra", "'extra' means nothing here: gbench doctor --help"),
        ("train --modle=gin", "unknown option '--modle=gin': gbench train --help"),
        ("data list cora", "gbench data list takes no name: gbench data info cora"),
        ("data list --split geom-gcn", "--split is for gbench data get, info and audit"),
        ("data info cora --source x.zip", "--source is for gbench data get"),
        ("data info cora --yes", "--yes is for gbench data clean"),
        ("leaderboard data=cora --output .", "cannot write .: Is a directory"),
        ("leaderboard data=cora --output folder", "cannot write folder: Is a directory"),
        ("train 'model.hidden_dim=choice(8,16)'", "model.hidden_dim=8,16, or a range"),
        ("train -m model.hidden_dim=range(1,3)", "model.hidden_dim=A,B,C, or a range"),
    ],
)
def test_a_slip_is_told_in_a_sentence(
    line: str,
    says: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    try:
        code = main(shlex.split(line))
    except SystemExit as left:
        code = int(str(left.code))
    assert code == 2
    err = capsys.readouterr().err
    assert re.search(f"^gbench: .*{re.escape(says)}", err, re.MULTILINE), err
