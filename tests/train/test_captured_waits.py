"""Captured work never waits, on a device that runs nothing: see scripts/check_captured.py."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "check_captured.py"


def test_neither_an_epoch_of_one_graph_nor_a_step_in_a_frame_waits() -> None:
    command = [sys.executable, SCRIPT, "gcn-vn", "sgc"]
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found = json.loads(told.splitlines()[-1])
    assert set(found) == {"gcn-vn graph", "gcn-vn graph rich", "sgc node", "sgc node rich"}
    for name, noted in found.items():
        assert noted["launches"] > 10, name
        assert noted["waits"] == [], name
