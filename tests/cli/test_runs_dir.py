"""Every verb takes the runs folder the same ways; --output's ending chooses the format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gbench.cli.main import VERBS, main, parse
from gbench.cli.output import format_of
from gbench.config.compose import compose
from gbench.errors import UserError
from gbench.quotes import unquoted

ELSEWHERE = "my runs, 'old'"
WITHOUT_RUNS = {"list", "data", "bench", "doctor", "completion"}
ONE = ("eval", "predict", "errors", "resume", "export")
NAMES = {verb: ["a"] for verb in ONE} | {"compare": ["a", "b"], "sweep": ["f"]}


@pytest.mark.parametrize("verb", sorted({*VERBS} - WITHOUT_RUNS))
def test_a_verb_takes_the_runs_folder_as_option_and_as_setting(verb: str) -> None:
    quoted = "'" + ELSEWHERE.replace("'", "\\'") + "'"
    found = []
    for word in (["--runs", ELSEWHERE], ["--runs-dir", ELSEWHERE], [f"runs_dir={quoted}"]):
        args = parse([verb, *NAMES.get(verb, []), *word])
        if hasattr(args, "runs"):  # the settings say it
            given = args.overrides if hasattr(args, "overrides") else args.words
            assert compose(given)["runs_dir"] == ELSEWHERE
        elif verb == "leaderboard":
            folders = [*args.folders, *(unquoted(w.partition("=")[2]) for w in args.what)]
            assert folders == [ELSEWHERE]
        else:
            assert args.runs_dir == Path(ELSEWHERE)
        found.append(vars(args))
    assert parse([verb, *NAMES.get(verb, [])]) is not None


def test_runs_are_found_in_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["model=gcn", "data=csbm", "data.num_nodes=50", "trainer.max_epochs=1", "logger=csv"]
    for seed in (0, 1):
        assert main(["train", *words, f"seed={seed}", "--runs", ELSEWHERE]) == 0
    capsys.readouterr()
    for place in (["--runs", ELSEWHERE], [f"runs_dir={ELSEWHERE}"], [f"./{ELSEWHERE}"]):
        assert main(["runs", "--json", *place]) == 0
        first, second = (row["run"] for row in json.loads(capsys.readouterr().out))
        assert main(["leaderboard", "--format", "json", *place]) == 0
        assert "csbm" in capsys.readouterr().out
    assert main(["compare", first, second, f"runs_dir={ELSEWHERE}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["runs"] == [first, second]
    assert main(["eval", first, "--runs", ELSEWHERE, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["run"] == first
    assert main(["export", first, "--runs", ELSEWHERE]) == 0
    starts = {
        "md": "### ",
        "csv": "data,",
        "json": "[",
        "tex": "\\begin{table}",
        "html": "<!doctype",
        "txt": "csbm",
        "JSON": "[",
    }
    for ending, start in starts.items():
        assert main(["leaderboard", "--runs", ELSEWHERE, "--output", f"x.{ending}"]) == 0
        text = Path(f"x.{ending}").read_text().lstrip().lower()
        assert text.startswith(start) or start in text[:200], (ending, text[:200])


@pytest.mark.parametrize(
    ("given", "format_"),
    [
        ((None, None), "table"),
        (("md", None), "md"),
        ((None, "page.html"), "html"),
        ((None, "table"), "table"),
        (("latex", "a.tex"), "latex"),
        (("csv", "results.xlsx"), "csv"),
        (("md", "README"), "md"),
    ],
)
def test_the_ending_says_the_format(given: tuple[Any, Any], format_: str) -> None:
    assert format_of(*given) == format_


@pytest.mark.parametrize(
    ("given", "says"),
    [(("md", "a.tex"), "the name says latex"), ((None, "a.xlsx"), "what is .xlsx")],
)
def test_an_ending_that_says_something_else_is_refused(given: tuple[Any, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        format_of(*given)
