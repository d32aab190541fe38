"""A run's folder keeps the code that it executed: eval, resume and export need no other."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import runpy
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from gbench import __version__
from gbench.board.tables import rows
from gbench.cli.main import main
from gbench.config.compose import Config
from gbench.config.identity import identity, run_name
from gbench.errors import UserError
from gbench.own_code.kept import at_hand, keep_all
from gbench.records.other_code import changed_since
from gbench.records.record import RunRecord
from gbench.train import loader
from gbench.train.epochs import Epochs
from gbench.train.interrupt import Interrupted
from gbench.training import train

Trained = Callable[..., tuple[RunRecord, Path]]
Compose = Callable[..., Config]
ALL = ("data=owndata", "encoding=degree", "model.table=mine/table.txt")


@pytest.fixture
def table(mine: Path) -> Path:
    (mine / "table.txt").write_text("2.0")
    return mine / "table.txt"


def evaluated(folder: Path, capsys: pytest.CaptureFixture[str], *words: str) -> float:
    capsys.readouterr()
    assert main(["eval", str(folder), "--json", *words]) == 0
    value: float = json.loads(capsys.readouterr().out.splitlines()[-1])["test"]
    return value


def test_the_record_and_the_folder_have_all_of_it(table: Path, trained: Trained) -> None:
    record, folder = trained(*ALL)
    assert record.versions["gbench"] == __version__
    code = record.config["code"]
    assert record.identity == identity(record.config)
    assert set(code["files"]) == {"model.table"}
    kept = {p.relative_to(folder / "code").as_posix() for p in (folder / "code").rglob("*.py")}
    assert kept == set(code["sources"])
    assert kept >= {"own_model.py", "own_help.py", "own_parts/rule.py", "own_lazy.py"}
    (copy,) = (folder / "files").rglob("table.txt")
    assert copy.read_text() == "2.0"
    assert not copy.samefile(table)


@pytest.mark.parametrize("gone", ["deleted", "renamed", "edited"])
def test_weights_are_evaluated_without_the_users_folder(
    gone: str, table: Path, mine: Path, trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    record, folder = trained(*ALL)
    cut = []
    if gone == "edited":
        for path in mine.glob("*.py"):
            path.write_text("raise SystemExit('the edited code ran')")
        table.write_text("-9")
        cut = ["--code=kept"]
    elif gone == "renamed":
        mine.rename(mine.with_name("elsewhere"))
    else:
        shutil.rmtree(mine)
    assert evaluated(folder, capsys, *cut) == record.test
    shutil.rmtree("cache")  # the loader and the encoding run again
    assert evaluated(folder, capsys, *cut) == record.test


def test_eval_refuses_weights_of_other_code_and_says_how_to_run_it(
    table: Path, mine: Path, trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    record, folder = trained("model.table=mine/table.txt")
    table.write_text("-1.0")
    assert main(["eval", str(folder)]) == 2
    assert "mine/table.txt (model.table) has changed" in capsys.readouterr().err
    table.write_text("2.0")
    assert evaluated(folder, capsys) == record.test
    (mine / "own_lazy.py").write_text("def shifted(x): return -x\n")
    assert main(["eval", str(folder)]) == 2
    said = capsys.readouterr().err
    assert "mine/own_lazy.py has changed" in said
    assert "--code=kept" in said
    assert evaluated(folder, capsys, "--code=kept") == record.test
    assert evaluated(folder, capsys, "--code=now") != record.test


def test_a_file_of_that_name_in_another_folder_is_another_file(
    table: Path, trained: Trained, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    record, folder = trained("model.table=mine/table.txt")
    elsewhere = table.parent.with_name("elsewhere") / "mine"
    elsewhere.mkdir(parents=True)
    (elsewhere / "table.txt").write_text("-1.0")
    monkeypatch.chdir(elsewhere.parent)
    assert evaluated(Path("..") / folder, capsys) == record.test


def test_an_exported_script_brings_the_code_with_it(
    table: Path, mine: Path, trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    (mine / "own_lazy.py").write_text('r"""Of a \\ and a \'."""\ndef shifted(x): return x + 0.5\n')
    record, folder = trained(*ALL)
    shutil.rmtree(mine)
    assert main(["export", str(folder), "--output", "script.py"]) == 0
    assert str(mine) not in Path("script.py").read_text()
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        runpy.run_path("script.py", run_name="__main__")
    assert float(said.getvalue().split()[-2]) == record.test


def interrupted(composed: Compose, monkeypatch: pytest.MonkeyPatch, *words: str) -> Path:
    """A run that was cut in its third epoch."""
    end_epoch = Epochs.end_epoch

    def cut(self: Epochs, trainer: Any, task: Any) -> None:
        if task.epoch == 2:
            raise Interrupted(2)
        end_epoch(self, trainer, task)

    monkeypatch.setattr(loader, "ROUND_SECONDS", 0.0)  # a checkpoint after every epoch
    config = composed(*words)
    folder = Path(config["runs_dir"]) / run_name(config)
    with monkeypatch.context() as patch:
        patch.setattr(Epochs, "end_epoch", cut)
        with pytest.raises(Interrupted):
            train(config, folder, Console(quiet=True))
    return folder


def test_resume_goes_on_with_the_code_that_the_run_began_with(
    mine: Path, composed: Compose, trained: Trained, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    words = ("trainer.max_epochs=5", "optim.lr=0.1")
    whole, folder = trained(*words)
    folder.rename("whole")
    assert interrupted(composed, monkeypatch, *words) == folder
    lazy = (mine / "own_lazy.py").read_text()
    (mine / "own_lazy.py").write_text("def shifted(x): return -x\n")
    # the same command is another run now, and says so
    assert main(["train", "--config-dir", "mine", "model=own", "data=csbm", *SHORT, *words]) == 0
    said = capsys.readouterr().err
    assert f"{folder.name} was interrupted with other code: own_lazy.py" in said
    assert main(["resume", str(folder), "--json"]) == 0
    out, err = capsys.readouterr()
    assert "mine/own_lazy.py has changed. It goes on with the code that it began with" in err
    assert json.loads(out)["test"] == whole.test
    assert main(["resume", str(folder)]) == 0
    said = capsys.readouterr().err
    assert "has finished before" in said
    assert "Since then mine/own_lazy.py has changed" in said
    (mine / "own_lazy.py").write_text(lazy)
    assert main(["resume", str(folder)]) == 0
    assert "Since then" not in capsys.readouterr().err


SHORT = ("trainer=cpu", "logger=none")


def test_what_was_edited_before_a_run_began_is_refused(mine: Path, composed: Compose) -> None:
    config = composed()
    (mine / "own_parts/rule.py").write_text("times = 3\n")
    with pytest.raises(UserError, match=r"mine/own_parts/rule\.py has changed since this run was"):
        at_hand(config, Path("runs/run"))


def test_points_of_a_sweep_execute_what_was_composed(
    table: Path, mine: Path, composed: Compose
) -> None:
    """A point on a cluster may begin a day after it was composed."""
    first, second = (composed(*ALL, f"seed={seed}") for seed in (0, 1))
    folders = [Path("runs") / run_name(config) for config in (first, second)]
    keep_all(zip((first, second), folders, strict=True))
    copies = [next((folder / "files").rglob("table.txt")) for folder in folders]
    assert copies[0].samefile(copies[1])  # a big file takes its room once
    for path in mine.rglob("*.py"):
        path.write_text("raise SystemExit('the edited code ran')")
    table.write_text("-9")
    folders.append(Path("runs/started-later"))
    (folders[2] / "code").parent.mkdir()
    shutil.copytree(folders[0] / "code", folders[2] / "code")
    keep_all([(second, folders[2])])
    assert next((folders[2] / "files").rglob("table.txt")).samefile(copies[0])
    record = train(second, folders[1], Console(quiet=True))
    assert record is not None
    assert record.identity == identity(first)


def test_two_versions_in_one_process_are_two_rows(
    mine: Path, trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    one, folder = trained()
    (mine / "own_lazy.py").write_text("def shifted(x): return -x\n")
    other, other_folder = trained()
    assert one.test != other.test  # the new code ran
    (table,) = rows([one, other], [])
    assert [len(row.runs) for row in table.rows] == [1, 1]
    assert all(row.own_code for row in table.rows)
    assert len({row.settings["code"] for row in table.rows}) == 2
    assert main(["compare", str(folder), str(other_folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["settings"] == {}
    digests = [record.config["code"]["sources"]["own_lazy.py"] for record in (one, other)]
    assert found["code"] == {"own_lazy.py": digests}
    assert main(["compare", str(folder), str(other_folder)]) == 0
    assert "own_lazy.py" in capsys.readouterr().out


def test_records_from_before_code_was_kept_are_rows_of_their_own(
    mine: Path, trained: Trained
) -> None:
    record, _ = trained()
    config = {key: value for key, value in record.config.items() if key != "code"}
    before = record.__dict__ | {"config": config, "identity": identity(config), "seed": 1}
    (table,) = rows([record, RunRecord(**before)], [])
    assert [len(row.runs) for row in table.rows] == [1, 1]
    said = changed_since(config)
    assert "may have changed (this gbench did not keep it yet)" in said
    shutil.rmtree(mine)
    with pytest.raises(UserError, match=r"mine, where the run's own code lies, is not there"):
        at_hand(config, Path("runs/run"))


def test_what_is_computed_is_computed_again_when_its_helpers_change(
    mine: Path, trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    def computed(*words: str) -> str:
        trained("data=owndata", "encoding=degree", *words)
        return capsys.readouterr().out

    assert computed() == "computed loader\ncomputed encoding\n"
    (mine / "own_lazy.py").write_text("def shifted(x): return -x\n")
    (mine / "unrelated.py").write_text("x = 3\n")
    assert computed() == ""
    help_file = mine / "own_help.py"
    help_file.write_text(help_file.read_text().replace("2.0", "3.0"))
    assert "computed loader\ncomputed encoding\n" in computed()
    Path("table.txt").write_text("1")
    assert "computed loader" in computed("+data.table=table.txt")
    assert computed("+data.table=table.txt") == ""
    Path("table.txt").write_text("2")
    assert "computed loader" in computed("+data.table=table.txt")


def test_a_metric_of_ones_own_is_there_beside_cached_data(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained("data=owndata")
    monkeypatch.delitem(sys.modules, "own_data")  # as in the next process
    record, _ = trained("data=owndata", "seed=1")
    assert record.metric == "own_data.share"


def test_modules_keep_the_name_of_the_users_file(mine: Path, composed: Compose) -> None:
    config = composed()
    at_hand(config, Path("runs/run"))
    assert importlib.import_module("own_lazy").__file__ == str(mine / "own_lazy.py")
    assert importlib.import_module("own_parts.rule").times == 1


def test_a_file_named_like_one_of_pythons_own_does_not_hide_it(
    mine: Path, trained: Trained
) -> None:
    (mine / "statistics.py").write_text("raise SystemExit('this is not the standard library')")
    for name in ("statistics", "own_model"):
        sys.modules.pop(name, None)
    trained()
    assert importlib.import_module("statistics").mean([1, 3]) == 2


@pytest.mark.parametrize("name", ["torch", "gbench"])
def test_a_name_of_an_installed_package_is_refused(
    mine: Path, composed: Compose, name: str
) -> None:
    (mine / f"{name}.py").write_text("x = 1\n")
    with pytest.raises(UserError, match=rf"{name}\.py has the name of an installed package"):
        at_hand(composed(), Path("runs/run"))
