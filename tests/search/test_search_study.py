"""The study on disk: which trial comes next, whose it is, and what survives a death."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from gbench.errors import UserError
from gbench.passwords import without_password
from gbench.search.space import Dimension, Value
from gbench.search.storage import database_errors
from gbench.search.study import SAMPLER, SILENCE, Study

X = Dimension("optim.lr", low=0.001, high=1.0, log=True)
N = Dimension("model.hidden_dim", low=2, high=8, step=2, whole=True)
C = Dimension("model.norm", choices=("none", "batch"))


def opened(
    folder: Path,
    *,
    maximise: bool = False,
    pruner: str = "median",
    seed: int = 0,
    storage: str | None = None,
    anew: bool = False,
) -> Study:
    options = {"pruner": pruner, "max_epochs": 20, "storage": storage, "anew": anew}
    return Study(folder, (X, N, C), maximise=maximise, seed=seed, **options)


def error_of(values: dict[str, Value]) -> float:
    """Least at lr = 0.1, hidden_dim = 6, batch norm."""
    lr, width = values[X.key], values[N.key]
    assert isinstance(lr, float)
    assert isinstance(width, int)
    return (math.log10(lr) + 1) ** 2 + (width - 6) ** 2 / 10 + (values[C.key] == "none")


def work(study: Study, limit: int) -> list[dict[str, Value]]:
    """Finish trials until there are so many; their settings."""
    done = []
    while found := study.next(limit):
        trial, values = found
        study.finish(trial, error_of(values))
        done.append(values)
    return done


def test_it_finds_the_best_setting_and_stays_within_the_space(tmp_path: Path) -> None:
    study = opened(tmp_path)
    settings = work(study, 40)
    assert len(settings) == 40
    assert {values[N.key] for values in settings} == {2, 4, 6, 8}
    assert all(0.001 <= float(values[X.key] or 0) <= 1 for values in settings)
    best = study.best()
    assert best is not None
    assert best.value == min(map(error_of, settings)) < 0.05
    assert (best.params[N.key], best.params[C.key]) == (6, "batch")
    shares = study.importances()
    assert sum(shares.values()) == pytest.approx(1)
    assert [trial.value for trial in study.ranked()] == sorted(map(error_of, settings))


def test_the_best_is_the_largest_where_more_is_better(tmp_path: Path) -> None:
    study = opened(tmp_path, maximise=True)
    settings = work(study, 6)
    best = study.best()
    assert best is not None
    assert best.value == max(map(error_of, settings))


def test_a_study_that_was_cut_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole = work(opened(tmp_path / "whole"), 25)
    cut = tmp_path / "cut"
    settings = []
    for limit in (3, 14, 14, 25):
        study = opened(cut)
        settings += work(study, limit)
        study.close()
    assert settings == whole
    other = work(opened(tmp_path / "other", seed=1), 3)
    assert other[0] not in whole


def test_workers_share_the_trials_and_make_no_more_than_asked(tmp_path: Path) -> None:
    one, two = opened(tmp_path), opened(tmp_path)
    first, second, third = one.next(3), two.next(3), two.next(3)
    assert first and second and third
    assert [first[0].number, second[0].number, third[0].number] == [0, 1, 2]
    assert len({str(found[1]) for found in (first, second, third)}) == 3
    assert one.next(3) is None  # the others are not its own, and their worker lives
    assert one.others_run()
    two.finish(second[0], 1.0)
    two.prune(third[0])
    assert not one.others_run()
    assert str(one.tally()) == "1 finished, 1 pruned, 1 running"
    assert one.next(4) is not None


def test_a_trial_that_its_worker_left_is_the_next_ones(tmp_path: Path) -> None:
    one, two = opened(tmp_path), opened(tmp_path)
    found = one.next(1)
    assert found
    found[0].report(0.5, 3)
    one.close()
    again = two.next(1)
    assert again
    assert (again[0].number, again[1]) == (0, found[1])
    assert not two.is_hopeless(again[0], 3, 0.5)  # told again after the checkpoint: no offence
    two.finish(again[0], 0.25)
    assert two.tally().spent == 1


def die_with_a_trial(folder: Path) -> None:
    assert opened(folder).next(5)
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_was_killed_leaves_its_trial_and_no_lock(tmp_path: Path) -> None:
    study = opened(tmp_path)
    process = multiprocessing.get_context("fork").Process(target=die_with_a_trial, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert study.tally().running == 1
    found = study.next(1)
    assert found
    assert found[0].number == 0


def test_a_line_that_its_writer_died_in_costs_nothing_else(tmp_path: Path) -> None:
    study = opened(tmp_path)
    before = work(study, 4)
    study.close()
    journal = tmp_path / "study.journal"
    with journal.open("a") as file:
        file.write('{"op_code": 5, "trial_')
    study = opened(tmp_path)
    assert study.tally().finished == 4
    after = work(study, 8)
    assert before + after == work(opened(tmp_path / "undisturbed"), 8)
    assert all(json.loads(line) for line in journal.read_text().splitlines())


def run_trial(study: Study, curve: list[float]) -> int:
    """Epochs until it is given up; 0 if it is not."""
    found = study.next(1000)
    assert found
    for epoch, valid in enumerate(curve, 1):
        if study.is_hopeless(found[0], epoch, valid):
            study.prune(found[0])
            return epoch
    study.finish(found[0], curve[-1])
    return 0


def test_a_trial_below_the_median_is_given_up_after_the_warm_up(tmp_path: Path) -> None:
    study = opened(tmp_path, maximise=True)
    for level in (0.5, 0.6, 0.7, 0.8, 0.9):
        assert run_trial(study, [level] * 20) == 0
    assert run_trial(study, [0.71] * 20) == 0
    assert run_trial(study, [0.3] * 20) == 2  # a tenth of 20 epochs
    assert run_trial(study, [0.3, 0.95] + [0.2] * 18) == 0  # it once was good: the best counts
    assert run_trial(study, [math.nan] * 20) == 0
    assert study.tally().pruned == 1
    assert (study.tally().failed, study.errors()) == (1, ["its validation metric is nan"])


def test_without_a_pruner_every_trial_comes_to_its_end(tmp_path: Path) -> None:
    study = opened(tmp_path, maximise=True, pruner="none")
    for level in (0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.1):
        assert run_trial(study, [level] * 20) == 0


def test_hyperband_gives_up_the_worse_of_many(tmp_path: Path) -> None:
    study = opened(tmp_path, maximise=True, pruner="hyperband")
    ends = [run_trial(study, [level / 100] * 20) for level in range(60, 30, -1)]
    assert ends[0] == 0
    assert sum(end > 0 for end in ends) > 10


def test_failed_trials_are_spent_and_their_errors_kept(tmp_path: Path) -> None:
    study = opened(tmp_path)
    for _ in range(2):
        found = study.next(2)
        assert found
        study.fail(found[0], "it diverged")
    assert study.next(2) is None
    assert study.best() is None
    assert study.tally().spent == 2
    assert study.errors() == ["it diverged"] * 2


def test_a_trial_that_runs_tells_the_sampler_nothing(tmp_path: Path) -> None:
    """Neither another command's nor a dead one's, whatever Optuna's sampler would make of it."""
    beside = opened(tmp_path / "beside")
    for _ in range(12):
        found = beside.next(99)
        assert found
        beside.finish(found[0], error_of(found[1]))
    hanging = beside.next(99)
    assert hanging  # trial 12, which never ends
    found = beside.next(99)
    assert found
    expected = opened(tmp_path / "failed")
    for number in range(13):
        other = expected.next(99)
        assert other
        if number < 12:
            expected.finish(other[0], error_of(other[1]))
        else:
            expected.fail(other[0], "it was killed")
    last = expected.next(99)
    assert last
    assert found[1] == last[1]


def test_every_option_that_the_sampler_has_is_a_known_one(tmp_path: Path) -> None:
    sampler = opened(tmp_path)._sampler(3)
    assert {key: getattr(sampler, f"_{key}") for key in SAMPLER} == SAMPLER


@pytest.fixture
def database(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'studies.db'}"


def test_a_study_in_a_database_is_that_of_the_journal(tmp_path: Path, database: str) -> None:
    expected = work(opened(tmp_path / "a" / "study"), 14)
    found = work(opened(tmp_path / "b" / "study", storage=database), 8)
    found += work(opened(tmp_path / "c" / "study", storage=database), 14)  # another machine
    assert found == expected


def test_in_a_database_a_trial_is_another_machines_until_it_is_silent(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = opened(tmp_path / "here" / "study", storage=database)
    there = opened(tmp_path / "there" / "study", storage=database)
    first = here.next(1)
    assert first
    assert there.next(1) is None
    assert there.others_run()
    now = time.time()
    monkeypatch.setattr("time.time", lambda: now + SILENCE - 1)
    here.beat()
    monkeypatch.setattr("time.time", lambda: now + 2 * SILENCE - 2)
    assert there.next(1) is None  # it was signed since
    monkeypatch.setattr("time.time", lambda: now + 2 * SILENCE)
    taken = there.next(1)
    assert taken
    assert (taken[0].number, taken[1]) == (0, first[1])


def test_a_search_anew_is_another_study_of_the_database(tmp_path: Path, database: str) -> None:
    folder = tmp_path / "study"
    work(opened(folder, storage=database), 3)
    assert opened(folder, storage=database, anew=True).tally().spent == 0
    work(opened(folder, storage=database), 2)
    assert opened(folder, storage=database).tally().spent == 2
    assert opened(folder, storage=database, anew=True).tally().spent == 0


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("studies.db", "is no URL of a database: type sqlite:///"),
        ("oracel://me:geheim@host/x", r"oracel://me:\*\*\*@host/x: SQLAlchemy knows no such"),
        ("postgresql+pg8000://me:geheim@host/x", "needs a driver: pip install pg8000"),
        ("sqlite:////nowhere/at/all.db", "does not answer as it should: unable to open database"),
    ],
)
def test_a_database_out_of_reach_is_told_without_its_password(
    tmp_path: Path, url: str, says: str
) -> None:
    with pytest.raises(UserError, match=says) as raised, database_errors(url):
        opened(tmp_path, storage=url)
    assert "geheim" not in str(raised.value)


def test_a_password_of_any_signs_is_hidden() -> None:
    for password in ("a", "p@ss", "x:y@z", "%2F"):
        assert without_password(f"gbench study.storage=mysql://me:{password}@host:3/db seed=1") == (
            "gbench study.storage=mysql://me:***@host:3/db seed=1"
        )
