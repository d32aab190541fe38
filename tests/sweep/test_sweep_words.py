"""Lists, ranges and the sweep's own options on the command line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gbench.errors import UserError
from gbench.sweep.words import Options, alternatives, is_sweep, split_value, take_options


@pytest.mark.parametrize(
    ("word", "values"),
    [
        ("seed=0..3", ["0", "1", "2", "3"]),
        ("seed=7..7", ["7"]),
        ("seed=1,5..7,20", ["1", "5", "6", "7", "20"]),
        ("+model.shift=-2..1", ["-2", "-1", "0", "1"]),
        ("model=gin,gcn", ["gin", "gcn"]),
        ("model=gin, gcn", ["gin", "gcn"]),
        ("optim.lr=0.1,1e-3", ["0.1", "1e-3"]),
        ("batching.fan_outs=[15,10]", ["[15,10]"]),
        ("batching.fan_outs=[15,10],[5,[5,5]]", ["[15,10]", "[5,[5,5]]"]),
        ("model.options={a:1,b:2}", ["{a:1,b:2}"]),
        ("data.path='a,b'", ["'a,b'"]),
        ('data.path="a\\",b",c', ['"a\\",b"', "c"]),
        ("data.path=a\\,b", ["a\\,b"]),
        ("data.path=../here/0..3", ["../here/0..3"]),
        ("model.version=1.5..2", ["1.5..2"]),
        ("seed=", [""]),
    ],
)
def test_alternatives_of_a_word(word: str, values: list[str]) -> None:
    key = word.partition("=")[0]
    assert alternatives(word) == [f"{key}={value}" for value in values]


def test_a_removed_setting_is_one_alternative() -> None:
    assert alternatives("~trainer.profiler") == ["~trainer.profiler"]


@given(st.lists(st.text(alphabet="ab1.[]{}()'\"\\, ", max_size=8), min_size=1, max_size=4))
def test_quoted_values_survive_splitting(values: list[str]) -> None:
    quoted = ["'" + v.replace("\\", "\\\\").replace("'", "\\'") + "'" for v in values]
    assert split_value(",".join(quoted)) == quoted


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("seed=1,,2", "a value is missing beside a comma"),
        ("seed=1,", "a value is missing beside a comma"),
        ("seed=3..1", r"3\.\.1 runs backwards: type 1\.\.3"),
        ("seed=0..4294967295", "more than 10,000 values"),
    ],
)
def test_slips_are_told(word: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        alternatives(word)


@pytest.mark.parametrize(
    ("words", "several"),
    [
        (["model=gcn", "data=cora", "seed=3"], False),
        (["batching.fan_outs=[15,10]"], False),
        (["data.path='a,b'"], False),
        (["model=gcn,gin"], True),
        (["seed=3..3"], True),
        (["seeds=1"], True),
        (["folds=all"], True),
        (["jobs=2"], True),
    ],
)
def test_what_makes_a_sweep(words: list[str], several: bool) -> None:
    assert is_sweep(words) is several


def test_options_are_taken_out() -> None:
    words = ["model=gcn", "jobs=4", "seeds=3", "retries=0", "executor=local"]
    assert take_options(words) == (Options(4, 0, "local"), ["model=gcn", "seeds=3"])
    assert take_options(["seed=1"]) == (Options(None, 1, "local"), ["seed=1"])


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("jobs=0", "jobs=0: expected a whole number, at least 1"),
        ("jobs=two", "jobs=two: expected a whole number, at least 1"),
        ("retries=-1", "retries=-1: expected a whole number, at least 0"),
        ("executor=locl", "unknown executor 'locl': did you mean 'local'"),
    ],
)
def test_options_are_checked(word: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        take_options([word])
