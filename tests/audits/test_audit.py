"""An audit as a whole: what is kept, what is computed anew, how it is told."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gbench.audits import audit as auditing
from gbench.audits.audit import audit, kinds
from gbench.audits.blocks import blocks
from gbench.audits.definitions import definitions_of, is_defined
from gbench.audits.fact import Audit, Fact, all_kept
from gbench.cli.auditing import at_hand
from gbench.cli.main import main
from gbench.data.manage import card_of


@pytest.fixture
def ring(tmp_path: Path) -> Path:
    """A ring of 12 nodes in 3 classes with two features and two splits."""
    folder = tmp_path / "ring"
    folder.mkdir()
    rows = [f"n{i},{i % 4},{i % 2},{'abc'[i % 3]}" for i in range(12)]
    (folder / "nodes.csv").write_text("id,f,g,label\n" + "\n".join(rows) + "\n")
    edges = [f"n{i},n{(i + 1) % 12}" for i in range(12)]
    (folder / "edges.csv").write_text("source,target\n" + "\n".join(edges) + "\n")
    return folder


def made(folder: Path, cache: Path, tell: Callable[[str], None] = lambda line: None) -> Audit:
    return audit(card_of(str(folder)), Path("/nowhere"), cache, tell=tell)


def test_an_audit_is_computed_once_and_anew_for_other_data_or_code(
    ring: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    first = made(ring, tmp_path / "cache", lines.append)
    assert first.find("nodes") == 12
    assert len(repr(first)) < 80
    assert {type(fact.value) for fact in first.facts} <= {int, float, str}
    assert "size and shape" in "".join(lines)
    lines.clear()
    assert made(ring, tmp_path / "cache", lines.append) == first
    assert not lines

    monkeypatch.setattr(auditing, "code", lambda: "another")
    made(ring, tmp_path / "cache", lines.append)
    assert lines
    monkeypatch.undo()

    text = (ring / "nodes.csv").read_text()
    (ring / "nodes.csv").write_text(text + "n12,1,1,c\n")
    second = made(ring, tmp_path / "cache")
    assert second.find("nodes") == 13
    assert second.find("isolated nodes") == 1
    assert second.fingerprint != first.fingerprint


def test_a_kept_audit_needs_no_torch(ring: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    made(ring, cache)
    script = (
        "import sys; from gbench.cli.main import main; "
        f"main(['data', 'audit', {str(ring)!r}, '--cache-dir', {str(cache)!r}]); "
        "sys.exit('torch' in sys.modules or 'sklearn' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "nodes" in done.stdout


def test_ctrl_c_leaves_no_audit(
    ring: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(data: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("gbench.audits.parts.facts", interrupted)
    with pytest.raises(KeyboardInterrupt):
        made(ring, tmp_path / "cache")
    assert not [*(tmp_path / "cache").rglob("*audit*")]


def test_every_fact_is_told_once_and_defined(ring: Path, tmp_path: Path) -> None:
    found = made(ring, tmp_path / "cache")
    again = [place for place, n in Counter(f[:3] for f in found.facts).items() if n > 1]
    assert not again
    known = [kind.DEFINITIONS for kind in kinds("node").values()]
    assert [f.fact for f in found.facts if not is_defined(f.fact, known)] == []
    assert all(definitions_of(found, known).values())


def test_json_and_csv_have_the_same_rows(
    ring: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--cache-dir", str(tmp_path / "cache")]
    assert main(["data", "audit", str(ring), *where, "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [*rows[0]] == ["dataset", "split", "fold", "fact", "value", "unit"]
    assert {"split": "", "fold": None, "fact": "edges", "value": 12, "unit": "count"}.items() <= (
        next(row for row in rows if row["fact"] == "edges").items()
    )
    assert {type(row["fold"]) for row in rows} == {int, type(None)}

    target = tmp_path / "facts.csv"
    assert main(["data", "audit", str(ring), *where, "--output", str(target)]) == 0
    assert capsys.readouterr().out == ""
    lines = list(csv.DictReader(io.StringIO(target.read_text())))
    assert [line["fact"] for line in lines] == [row["fact"] for row in rows]
    assert [line["value"] for line in lines] == [str(row["value"]) for row in rows]


@pytest.mark.parametrize("form", ["table", "md", "html"])
def test_texts_tell_every_fact_of_the_whole_dataset(
    ring: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    where = ["--cache-dir", str(tmp_path / "cache"), "--format", form, "--definitions"]
    assert main(["data", "audit", str(ring), *where]) == 0
    out = re.sub(r"&#x27;", "'", capsys.readouterr().out)
    for name in {fact.fact for fact in made(ring, tmp_path / "cache").facts if not fact.split}:
        assert name in out
    assert "connected components of the undirected graph" in out  # a definition
    if form == "html":
        assert "<script" not in out


def test_several_datasets_stand_in_one_overview(
    ring: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--cache-dir", str(tmp_path / "cache")]
    assert main(["data", "audit", str(ring), str(ring) + "/", *where]) == 0
    out = capsys.readouterr().out
    assert sum(line.startswith("ring-") for line in out.splitlines()) == 2
    assert "features alone" in out.splitlines()[0]


def test_folds_are_told_by_mean_and_range() -> None:
    facts = [
        Fact("", None, "nodes", 5, "count"),
        Fact("s", 0, "constant baseline", 40.0, "%"),
        Fact("s", 1, "constant baseline", 60.0, "%"),
        Fact("s", 0, "copy", 50.0, "%"),
        Fact("s mean", None, "nodes never tested", 3, "count"),
        Fact("s mean", None, "constant baseline", 50.0, "%"),
        Fact("s mean", None, "constant baseline, minimum", 40.0, "%"),
    ]
    whole, folds = blocks(Audit("d", "s", "f", tuple(facts)))
    assert whole.rows == [("nodes", ["5"])]
    assert folds.rows == [
        ("nodes never tested", ["3", "", ""]),
        ("constant baseline", ["50.00 %", "40.00 %", "60.00 %"]),
        ("copy (in 1 folds)", ["50.00 %", "", ""]),
    ]


def test_slips_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--data-dir", str(tmp_path), "--cache-dir", str(tmp_path)]
    assert main(["data", "audit", "coro", *where]) == 2
    assert "did you mean 'cora'?" in capsys.readouterr().err
    assert main(["data", "audit", "cora", "--format", "json", "--output", "x.csv", *where]) == 2
    assert main(["data", "audit", "cora", "--output", "x.tex", *where]) == 2
    assert "csv" in capsys.readouterr().err
    assert main(["data", "audit", "all", "cora", *where]) == 2
    assert "leave the other names out" in capsys.readouterr().err
    for asked in (["cora", "--format", "csv"], ["cora", "csl"]):
        assert main(["data", "audit", *asked, "--definitions", *where]) == 2
        assert "--definitions: a table of one dataset" in capsys.readouterr().err


def test_all_is_what_is_there_or_needs_no_files(tmp_path: Path, data_dir: Path) -> None:
    made_up, left_out = at_hand((), tmp_path, "")
    assert "csl" in [card.name for card in made_up]
    assert all(not card.folder for card in made_up)
    assert "raw files are not in" in left_out[0]
    there, _ = at_hand((), data_dir, "")
    assert {"cora", "mutag"} <= {card.name for card in there} > {card.name for card in made_up}
    assert {card.split for card in at_hand((), data_dir, "geom-gcn")[0]} == {"geom-gcn"}


def test_a_damaged_kept_audit_is_made_anew(ring: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = made(ring, cache)
    (path,) = cache.rglob("audit-*.json")
    path.write_text(path.read_text()[:100])
    assert [*all_kept("ring", cache)] == []
    assert made(ring, cache).facts == first.facts


def test_of_a_folder_without_labels_the_shape_is_told(
    ring: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (ring / "nodes.csv").read_text().splitlines()
    (ring / "nodes.csv").write_text("\n".join(line.rpartition(",")[0] for line in lines))
    assert main(["data", "audit", str(ring), "--format", "json"]) == 0
    found = {row["fact"]: row["value"] for row in json.loads(capsys.readouterr().out)}
    assert found["labels"] == "no labels"
    assert (found["nodes"], found["edges"], found["features"]) == (12, 12, 2)
    assert "classes" not in found
    for form in ("table", "md", "html"):
        assert main(["data", "audit", str(ring), "--format", form]) == 0
        assert "the folder has no labels" in capsys.readouterr().out
