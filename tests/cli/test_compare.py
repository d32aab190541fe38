"""gbench compare on folders made by hand, and on one that training left."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from gbench.cli.main import main
from gbench.records.record import RunRecord, read, write

from .conftest import Answer


@pytest.fixture
def runs(
    trained: tuple[Path, Answer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[RunRecord, RunRecord]:
    """runs/A, and runs/B of other settings, results and versions; the current folder is theirs."""
    (path,) = trained[0].glob("runs/*/record.json")
    a = read(path)
    config = {**a.config, "seed": 7, "model": {**a.config["model"], "hidden_dim": 64}}
    versions = {**a.versions, "torch": "9.9"}
    b = replace(
        a, config=config, seed=7, test=a.test / 2, num_parameters=99, versions=versions, git=None
    )
    for name, record in (("A", replace(a, git=None)), ("B", b)):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        write(record, folder)
        (folder / "config.yaml").write_text(yaml.safe_dump(record.config))
        (folder / "metrics.csv").write_bytes((path.parent / "metrics.csv").read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    return a, b


def test_json_has_all_and_only_the_differences(
    runs: tuple[RunRecord, RunRecord], capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = runs
    assert main(["compare", "A", "B", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["settings"] == {"seed": [0, 7], "model.hidden_dim": [16, 64]}
    assert found["surroundings"] == {"version of torch": [a.versions["torch"], "9.9"]}
    assert found["figures"]["test"] == [a.test, b.test]
    assert found["figures"]["epochs"] == [3, 3]
    assert found["same_protocol"] is True
    assert len(found["curves"][0]) == 3
    assert max(found["curves"][0]) == a.valid


def test_people_see_the_same_and_how_far_they_are_apart(
    runs: tuple[RunRecord, RunRecord], capsys: pytest.CaptureFixture[str]
) -> None:
    a, _ = runs
    assert main(["compare", "A", "B"]) == 0
    out = capsys.readouterr().out
    lines = {line.split("  ")[0].strip(): line for line in out.splitlines()}
    assert lines["model.hidden_dim"].split()[1:] == ["16", "64"]
    assert f"{100 * a.test:.2f}" in lines["test accuracy %"]
    assert f"({-50 * a.test:+.4g})" in lines["test accuracy %"]
    assert "9.9" in lines["version of torch"]
    assert "optim.lr" not in out
    assert "┤" in out
    assert "\x1b" not in out  # no terminal, no colour


def test_metrics_beside_the_official_one_are_laid_side_by_side(
    runs: tuple[RunRecord, RunRecord], capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = runs
    parts = {"valid": 0.25, "test": 0.5}
    write(replace(a, also={"ece": parts, "mcc": parts}, git=None), Path("runs/A"))
    write(replace(b, also={"ece": {**parts, "test": 0.75}}), Path("runs/B"))
    assert main(["compare", "A", "B"]) == 0
    lines = {line.split("  ")[0].strip(): line for line in capsys.readouterr().out.splitlines()}
    assert lines["test ece %"].split()[3:] == ["50.00", "75.00", "(+25)"]
    assert lines["valid ece %"].split()[3:] == ["25.00", "25.00"]
    assert lines["test mcc"].split()[2:] == ["0.5000", "–"]
    assert main(["compare", "A", "B", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["figures"]["test_mcc"] == [0.5, None]


def test_an_unfinished_run_has_settings_and_a_curve_but_no_results(
    runs: tuple[RunRecord, RunRecord], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("runs/B/record.json").unlink()
    assert main(["compare", "A", "B", "A"]) == 0
    out = capsys.readouterr().out
    assert "B  B  (not finished)" in out
    assert main(["compare", "B", "A", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["figures"]["test"][0] is None
    assert found["settings"]["seed"] == [7, 0]


def test_another_protocol_and_a_missing_curve_are_said(
    runs: tuple[RunRecord, RunRecord], capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path("runs/B/config.yaml")
    config = yaml.safe_load(path.read_text())
    config["data"]["split"] = "another"
    path.write_text(yaml.safe_dump(config))
    Path("runs/B/metrics.csv").unlink()
    assert main(["compare", "A", "B"]) == 0
    out = capsys.readouterr().out
    assert "Their metrics do not compare" in out
    assert "without a curve: B" in out


def test_one_run_is_not_compared(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "A"]) == 2
    assert "give two to 26 runs" in capsys.readouterr().err


def test_products_that_went_other_ways_are_told(
    runs: tuple[RunRecord, RunRecord], capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = runs
    alike, of = {"20 to 30": {"forward": "torch"}}, "500 to 16"
    write(replace(a, dense_products={**alike, of: {"forward": "torch"}}, git=None), Path("runs/A"))
    other = {**alike, of: {"forward": "convolution"}, "16 to 7": {"forward": "torch"}}
    write(replace(b, dense_products=other), Path("runs/B"))
    assert main(["compare", "A", "B", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["surroundings"]
    assert told.pop("version of torch")
    assert told == {f"products of {of}": ["forward torch", "forward convolution"]}
