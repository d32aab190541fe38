"""The wandb mirror: what its offline file says is what the record says."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gbench.train.interrupt import Interrupted

WANDB = ("model=gcn", "data=csbm", "trainer.max_epochs=4", "trainer.select=best", "logger=wandb")


@pytest.fixture(autouse=True)
def logged_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HOME", str(tmp_path))


def log_entries(content: bytes) -> Iterator[bytes]:
    """The entries of a LevelDB log with wandb's 7-byte file header.

    Blocks of 32 KiB hold fragments: checksum (4 bytes), length (2), type (1), payload; a type of 1
    is a whole entry, 2, 3 and 4 are the first, middle and last part of one. A block's last bytes
    are padding when no header fits.
    """
    assert content[:4] in (b"", b":W&B")
    entry, at = b"", 7
    while at + 7 <= len(content):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        length, kind = struct.unpack_from("<HB", content, at + 4)
        if at + 7 + length > len(content):  # still being written
            return
        entry += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            yield entry
            entry = b""


def offline(folder: Path) -> dict[str, Any]:
    """What the offline file says, once wandb's own process has written the end of it."""
    while (found := scanned(folder))["exit_code"] is None:
        time.sleep(0.2)
    return found


def scanned(folder: Path) -> dict[str, Any]:
    """The run, curve, summary and exit code in the one offline file below a run's folder."""
    from wandb.proto import wandb_internal_pb2

    (path,) = folder.glob("wandb/offline-run-*/*.wandb")
    found: dict[str, Any] = {"history": [], "summary": {}, "exit_code": None}
    for data in log_entries(path.read_bytes()):
        entry = wandb_internal_pb2.Record()
        entry.ParseFromString(data)
        kind = entry.WhichOneof("record_type")
        if kind == "run":
            found["run"] = entry.run
        elif kind == "history":
            items = {i.key or ".".join(i.nested_key): i.value_json for i in entry.history.item}
            found["history"].append({key: json.loads(value) for key, value in items.items()})
        elif kind == "summary":
            for item in entry.summary.update:
                found["summary"][item.key or ".".join(item.nested_key)] = json.loads(
                    item.value_json
                )
        elif kind == "exit":
            found["exit_code"] = entry.exit.exit_code
    return found


def test_the_offline_file_holds_the_record_and_the_curve(run: Any) -> None:
    record, folder = run(*WANDB)
    found = offline(folder)
    assert found["run"].run_id == record.run
    assert found["run"].run_group == f"csbm-gcn-{record.identity}"
    assert set(found["run"].tags) >= {"gcn", "csbm"}
    config = {item.key: json.loads(item.value_json) for item in found["run"].config.update}
    assert config["model"]["hidden_dim"] == record.config["model"]["hidden_dim"]
    assert config["optim"] == record.config["optim"]
    assert found["summary"]["test"] == record.test
    assert found["summary"]["valid"] == record.valid
    assert found["summary"]["best_epoch"] == record.best_epoch
    valid = [row["valid"] for row in found["history"] if "valid" in row]
    assert len(valid) == record.epochs == 4
    assert max(valid) == record.valid
    assert found["exit_code"] == 0


def test_an_interrupted_run_ends_as_such_in_wandb(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gbench.train.epochs import Epochs

    folders = []
    end_epoch = Epochs.end_epoch

    def cut(self: Epochs, trainer: Any, task: Any) -> None:
        folders.append(self.last_checkpoint.parent)
        if task.epoch == 2:
            raise Interrupted(2)
        end_epoch(self, trainer, task)

    monkeypatch.setattr(Epochs, "end_epoch", cut)
    with pytest.raises(Interrupted):
        run(*WANDB)
    assert offline(folders[0])["exit_code"] == 130


def test_login_decides_between_online_and_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    from gbench.mirror.account import logged_in

    assert not logged_in()
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    assert logged_in()
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert not logged_in()


WITHOUT = """
import sys
import wandb
from gbench.mirror.wandb_private import base_url

known = base_url()
sys.modules["wandb.sdk.wandb_setup"] = None
print(known, base_url())
"""


def test_wandbs_server_is_known_without_its_private_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "http://wandb.example:8080")
    said = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True)
    assert said.stdout.split() == ["http://wandb.example:8080"] * 2, said.stderr
