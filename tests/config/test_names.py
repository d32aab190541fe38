"""Names that are too long for a disk or for wandb are shortened, alike every time."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import wandb

from gbench.config.compose import compose
from gbench.config.identity import identity, run_name
from gbench.config.names import num_bytes, shortened, wandb_id, wandb_tags
from gbench.errors import UserError
from gbench.mirror.wandb import WandbMirror


@pytest.mark.parametrize("text", ["a" * 300, "图" * 90, "é-" * 140, "🙂" * 70])
@pytest.mark.parametrize("end", ["", "-0123456789-s3"])
def test_a_long_name_keeps_its_beginning_its_end_and_what_tells_it_apart(
    text: str, end: str
) -> None:
    short = shortened(text, 200, num_bytes, end)
    assert 190 < num_bytes(short) <= 200
    assert short.endswith(end)
    assert short.startswith(text[:20])
    assert short == shortened(text, 200, num_bytes, end)
    assert short != shortened(text + "b", 200, num_bytes, end)
    assert len(shortened(text, 64)) == 64
    assert shortened("gcn", 200, num_bytes, end) == f"gcn{end}"


def named(model: str, data: str, tags: tuple[str, ...] = ()) -> dict[str, Any]:
    config = compose(["model=gcn", "data=csbm", "logger=wandb"])
    config["model"]["name"], config["data"]["name"] = model, data
    config["logger"]["tags"] = [*tags]
    return config


def test_a_run_folder_can_be_made_whatever_the_names(tmp_path: Path) -> None:
    config = named("m" * 250, "数" * 80)
    name = run_name(config)
    assert name.endswith(f"-{identity(config)}-s0-f0")
    (tmp_path / name).mkdir()
    (tmp_path / f"{name}-20261129T120000123456").mkdir()  # as one that was replaced
    assert run_name(named("gcn", "csbm")) == f"csbm-gcn-{identity(named('gcn', 'csbm'))}-s0-f0"


def test_wandb_accepts_what_it_is_given(tmp_path: Path) -> None:
    config = named("m" * 250, "own:data#1;it's", ("t" * 100, "short"))
    asked = WandbMirror(tmp_path / run_name(config)).options(config)
    wandb.Settings(
        run_id=asked["id"], run_name=asked["name"], run_tags=asked["tags"], project=asked["project"]
    )
    assert max(len(asked[key]) for key in ("id", "name", "group")) <= 128
    assert asked["tags"][-1] == "short"
    assert wandb_tags(config) == asked["tags"]
    assert asked["id"].startswith("own-data-1-it-s-mmm")
    assert wandb_id("csbm-gcn-0123456789-s0") == "csbm-gcn-0123456789-s0"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["logger.project=team/name"], "logger.entity=team logger.project=name"),
        (["logger.project=a%b"], "without / "),
        ([f"logger.project={'p' * 129}"], "at most 128 characters"),
        (["logger.tags=['']"], "expected a list of words"),
    ],
)
def test_what_wandb_would_refuse_is_refused_before_training(words: list[str], says: str) -> None:
    with pytest.raises(UserError, match=re.escape(says)):
        compose(["logger=wandb", *words])
