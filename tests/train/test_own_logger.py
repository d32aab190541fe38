"""A logger of one's own: a file, a YAML, and it is told all that gbench's own are."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from gbench.config.compose import compose
from gbench.config.identity import run_name
from gbench.errors import UserError
from gbench.train.interrupt import Interrupted
from gbench.training import train

MIRROR = """
from gbench.mirror.mirrored import Mirror

TOLD = []


class Book(Mirror):
    def begin(self, settings):
        TOLD.append(("begin", settings["model"]["name"], settings["logger"]["shelf"]))

    def go_on(self, curve, columns):
        TOLD.append(("go on", [*curve], columns))

    def log_metrics(self, metrics, step=None):
        TOLD.append(("epoch", step, metrics["valid"]))

    def end(self, figures, code):
        TOLD.append(("end", figures.get("test"), code))


def book(config, folder):
    return Book()
"""
PLAIN = """
from lightning.pytorch.loggers import Logger

TOLD = []


class Plain(Logger):
    name, version = "plain", ""

    def log_hyperparams(self, params):
        TOLD.append(("begin", params["model.name"]))

    def log_metrics(self, metrics, step=None):
        TOLD.append(("tested" if "tested/test" in metrics else "epoch", step, metrics))

    def finalize(self, status):
        TOLD.append(("end", status))


def plain(config, folder):
    return [Plain()]
"""
SHORT = ("model=gcn", "data=csbm", "trainer.max_epochs=3", "trainer.select=best")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Any]:
    """`own(text, name)`: trains with the logger of this name in a file of this text."""
    monkeypatch.syspath_prepend(str(tmp_path / "mine"))

    def start(text: str, name: str) -> Any:
        mine = tmp_path / "mine"
        (mine / "logger").mkdir(parents=True)
        (mine / f"own_{name}.py").write_text(text)
        yaml = f"_target_: own_{name}.{name}\nshelf: 7\n"
        (mine / "logger" / f"{name}.yaml").write_text(yaml)
        words = (*SHORT, "trainer=cpu", f"logger={name}", f"runs_dir={tmp_path / 'runs'}")
        config = compose(words, [mine])
        return train(config, tmp_path / "runs" / run_name(config), Console(quiet=True))

    return start


def test_a_mirror_is_told_the_settings_the_epochs_and_the_end(own: Any) -> None:
    record = own(MIRROR, "book")
    import own_book

    begin, go_on, *epochs, end = own_book.TOLD
    assert begin == ("begin", "gcn", 7)
    assert [step for _, step, _ in epochs] == [0, 1, 2]
    assert max(valid for _, _, valid in epochs) == record.valid
    assert go_on == ("go on", [], ("valid",))
    assert end == ("end", record.test, 0)


def test_it_is_told_that_the_run_was_interrupted(own: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from gbench.train.epochs import Epochs

    def cut(self: Epochs, trainer: Any, task: Any) -> None:
        raise Interrupted(2)

    monkeypatch.setattr(Epochs, "end_epoch", cut)
    with pytest.raises(Interrupted):
        own(MIRROR.replace("book", "cut_book"), "cut_book")
    import own_cut_book

    assert own_cut_book.TOLD == [
        ("begin", "gcn", 7),
        ("go on", [], ("valid",)),
        ("end", None, 130),
    ]


def test_a_logger_of_lightnings_is_told_by_its_own_calls(own: Any) -> None:
    record = own(PLAIN, "plain")
    import own_plain

    assert own_plain.TOLD[0] == ("begin", "gcn")
    assert [told for told in own_plain.TOLD if told[0] == "tested"] == [
        (
            "tested",
            record.best_epoch - 1,
            {
                "tested/test": record.test,
                "tested/valid": record.valid,
                "best_epoch": record.best_epoch,
            },
        )
    ]
    assert [told[1] for told in own_plain.TOLD if told[0] == "epoch"] == [0, 1, 2]
    assert own_plain.TOLD[-1] == ("end", "success")


FRAGILE = """
from gbench.mirror.mirrored import Mirror

TOLD = []


class Fragile(Mirror):
    def __init__(self, breaks):
        super().__init__()
        self.breaks = breaks

    def told(self, stage):
        TOLD.append((stage, self.breaks))
        if stage == self.breaks:
            raise RuntimeError(f"no {stage}")

    def begin(self, settings):
        self.told("begin")

    def go_on(self, curve, columns):
        self.told("go on")

    def log_metrics(self, metrics, step=None):
        self.told("epoch")

    def end(self, figures, code):
        self.told(f"end {code}" if code else "end")


def fragile(config, folder):
    return [Fragile(""), Fragile("STAGE"), Fragile("")]
"""


@pytest.mark.parametrize("stage", ["begin", "go on", "epoch", "end"])
def test_each_that_has_begun_is_told_the_end_whichever_fails(own: Any, stage: str) -> None:
    name = f"fragile_{stage.replace(' ', '_')}"
    with pytest.raises(RuntimeError, match=f"no {stage}"):
        own(FRAGILE.replace("def fragile", f"def {name}").replace("STAGE", stage), name)
    told = importlib.import_module(f"own_{name}").TOLD
    begun = sum(kind == "begin" and breaks != kind for kind, breaks in told)
    assert begun == {"begin": 1}.get(stage, 3)
    assert sum(kind.startswith("end") for kind, _ in told) == begun
    assert {kind for kind, _ in told if kind.startswith("end")} == {
        "end" if stage == "end" else "end 1"
    }


def test_a_function_that_makes_no_logger_is_told(own: Any) -> None:
    with pytest.raises(UserError, match=r"own_nothing\.nothing returned None, and has to return"):
        own("def nothing(config, folder):\n    pass\n", "nothing")
