"""`gbench data` as a user runs it: several datasets, copies, sizes, a question before clean."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from gbench.data.files.named import files
from gbench.data.manage import card_of

from .conftest import GBENCH, Command

NODES = "id,f,label\n" + "".join(f"n{i},{i % 5},{'xy'[i % 2]}\n" for i in range(60))
EDGES = "source,target\n" + "".join(f"n{i},n{(i * 7 + 1) % 60}\n" for i in range(60))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "mine"
    made.mkdir()
    (made / "nodes.csv").write_text(NODES)
    (made / "edges.csv").write_text(EDGES)
    return made


def test_a_folder_is_checked_trained_on_and_stands_under_its_content(
    folder: Path, gbench: Command, tmp_path: Path
) -> None:
    env = {"GBENCH_CACHE": str(tmp_path / "cache")}
    answer = gbench("data", "get", "./mine", cwd=tmp_path, env=env)
    assert answer.returncode == 0, answer.stderr
    name = answer.stdout.split()[0]
    assert name.startswith("mine-") and "60 nodes, 120 edges" in answer.stdout
    words = ["train", "model=gcn", "data=folder", "data.path=mine", "trainer.max_epochs=2"]
    answer = gbench(*words, "--json", cwd=tmp_path, env=env)
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["data"] == name
    (folder / "edges.csv").write_text(EDGES + "n0,n9\n")
    second = json.loads(gbench(*words, "--json", cwd=tmp_path, env=env).stdout)
    assert second["data"].startswith("mine-") and second["data"] != name
    tables = json.loads(gbench("leaderboard", "--format", "json", cwd=tmp_path).stdout)["tables"]
    assert len(tables) == 2
    listed = gbench("data", "list", cwd=tmp_path, env=env).stdout
    assert listed.count("a folder of your own") == 2
    (folder / "nodes.csv").write_text(NODES.replace("n7,2", "n7,two"))
    answer = gbench(*words, cwd=tmp_path, env=env)
    assert answer.returncode == 2
    assert "mine/nodes.csv:9: column 'f' has 'two': not a number" in answer.stderr


def sized(folder: Path, megabytes: int, what: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "made.pt").write_bytes(bytes(megabytes * 2**20))
    (folder / "made.json").write_text(json.dumps({"what": what}))
    (folder / "made.lock").touch()


def test_list_shows_every_derived_file_with_its_size(gbench: Command, tmp_path: Path) -> None:
    sized(tmp_path / "c" / "data" / "cora", 3, "random walk, 20 steps")
    answer = gbench("data", "list", "--cache-dir", f"{tmp_path}/c", cwd=tmp_path)
    lines = answer.stdout.splitlines()
    (at,) = [i for i, line in enumerate(lines) if line.split()[0] == "cora"]
    assert lines[at].split()[:8] == [
        "cora",
        "node",
        "public",
        "+3",
        "accuracy",
        "1",
        "2,708",
        "10,556",
    ]
    # an earlier version, which did not say what code made a file, wrote its description
    shown = "random walk, 20 steps, superseded: no run reads it 3.0 MiB"
    assert lines[at + 1].split() == shown.split()


def test_clean_asks_a_person_and_refuses_to_guess_without_one(
    gbench: Command, tmp_path: Path
) -> None:
    made = tmp_path / "c" / "data" / "cora"
    words = ["data", "clean", "cora", "--cache-dir", f"{tmp_path}/c"]
    sized(made, 2, "prepared")
    answer = gbench(*words, cwd=tmp_path)
    assert answer.returncode == 2 and "remove what was derived from cora, 2.0 MiB" in answer.stderr
    assert "--yes" in answer.stderr and made.exists()
    for reply, is_gone in (("n\n", False), ("y\n", True)):
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [GBENCH, *words], cwd=tmp_path, stdin=theirs, stdout=subprocess.PIPE, text=True
        )
        os.write(ours, reply.encode())
        said = process.communicate()[0]
        assert ("freed 2.0 MiB" if is_gone else "nothing removed") in said
        assert made.exists() != is_gone
        os.close(ours)
        os.close(theirs)
    sized(made, 1, "prepared")
    answer = gbench("data", "clean", "all", "--yes", "--cache-dir", f"{tmp_path}/c", cwd=tmp_path)
    assert "freed 1.0 MiB" in answer.stdout and not made.exists()


@pytest.mark.data
def test_get_takes_several_datasets_from_a_copy(
    data_dir: Path, gbench: Command, tmp_path: Path
) -> None:
    (tmp_path / "copy").mkdir()
    with zipfile.ZipFile(tmp_path / "copy" / "cora.zip", "w") as archive:
        for path in (data_dir / "Planetoid" / "Cora" / "raw").iterdir():
            archive.write(path, f"anything/{path.name}")
    folders = ["--data-dir", f"{tmp_path}/raw", "--cache-dir", f"{tmp_path}/c"]
    answer = gbench("data", "get", "cora", "--source", "copy/cora.zip", *folders, cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "cora is ready: 1 graphs, 2,708 nodes, 10,556 edges" in answer.stdout
    assert answer.stderr.count("(verified)") == len(files(card_of("cora")))
    words = ["data", "get", "texas", "cornell", "--source", str(data_dir), *folders]
    answer = gbench(*words, cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert [line.split()[0] for line in answer.stdout.splitlines()] == ["texas", "cornell"]
    answer = gbench(
        "train", "model=gcn", "data=cora", "data.split=geom-gcn", "data.source=copy/cora.zip",
        f"data_dir={tmp_path}/raw", f"cache_dir={tmp_path}/c", cwd=tmp_path,
    )  # fmt: skip
    assert answer.returncode == 2 and "no item named 'cora_split_0.6_0.2_0.npz'" in answer.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["get", "coar"], "unknown dataset 'coar': did you mean 'cora'?"),
        (["clean", "coar", "--yes"], "unknown dataset 'coar': did you mean 'cora'?"),
        (["get", "./no-such"], "no-such: there is no such folder or file"),
        (["get", "cora", "--split", "pubic"], "unknown split of cora 'pubic'"),
        (["get", "cora", "--source", "nowhere.zip"], "there is no such archive or folder"),
        (["get"], "which dataset?"),
    ],
)
def test_a_mistake_is_one_message(
    words: list[str], says: str, gbench: Command, tmp_path: Path
) -> None:
    answer = gbench("data", *words, cwd=tmp_path)
    assert answer.returncode == 2 and says in answer.stderr
    assert "Traceback" not in answer.stderr and answer.stdout == ""


def test_list_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys; from gbench.cli.main import main; main(['data', 'list'])\n"
        "heavy = ('torch', 'hydra', 'omegaconf', 'lightning', 'numpy', 'pandas', 'rich')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    assert answer.stdout.splitlines()[-1] == "[]"
