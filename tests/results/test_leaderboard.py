import math
import statistics
from dataclasses import replace

import pytest

from gbench.results.leaderboard import differing_settings, median, rows, spread

TESTS = [0.8123, 0.8201, 0.8077, 0.8150, 0.8099]
VALIDS = [0.79, 0.788, 0.802, 0.796, 0.79]


@pytest.fixture
def five_seeds(make_record):
    return [
        make_record(
            {"seed": seed},
            seed=seed,
            test=test,
            valid=valid,
            seconds_per_epoch=0.001 * (seed + 1),
            items_per_second=1000.0 * (5 - seed),
            peak_memory_mib=100.0 + seed,
            finished=f"2026-03-0{seed + 1}T10:00:00+00:00",
        )
        for seed, (test, valid) in enumerate(zip(TESTS, VALIDS, strict=True))
    ]


def test_a_row_has_the_mean_and_the_sample_deviation_of_its_seeds(five_seeds):
    (table,) = rows(five_seeds)
    (row,) = table.rows
    assert row.test.mean == pytest.approx(statistics.mean(TESTS), rel=1e-15)
    assert row.test.std == pytest.approx(statistics.stdev(TESTS), rel=1e-12)
    assert row.valid.mean == pytest.approx(statistics.mean(VALIDS), rel=1e-15)
    assert row.valid.std == pytest.approx(statistics.stdev(VALIDS), rel=1e-12)
    assert (row.seconds_per_epoch, row.items_per_second) == (0.003, 3000.0)
    assert row.peak_memory_mib == 104.0
    assert row.finished == "2026-03-05T10:00:00+00:00"
    assert [run.seed for run in row.runs] == [0, 1, 2, 3, 4]
    assert (row.settings, row.dirty, row.other_data) == ({}, False, False)


def test_one_run_has_no_deviation_and_equal_runs_have_exactly_none():
    assert spread([0.81]) == (0.81, None)
    assert spread([0.81] * 7) == (0.81, 0.0)


def test_huge_values_do_not_overflow():
    assert math.isnan(spread([1.7e308, -1.7e308, 1.7e308]).mean)
    assert math.isnan(spread([-1.7e308, 1.7e308]).mean)
    assert spread([1e200, 3e200]) == pytest.approx((2e200, math.sqrt(2) * 1e200))


def test_the_median_leaves_out_what_is_unknown():
    assert median([3.0, math.nan, 1.0]) == 2.0
    assert median([3.0, 9.0, 1.0]) == 3.0
    assert math.isnan(median([math.nan]))


@pytest.mark.parametrize(("direction", "best"), [("max", "high"), ("min", "low")])
def test_rank_follows_the_direction_and_a_diverged_row_is_last(make_record, direction, best):
    records = [
        make_record(identity=name, model=name, direction=direction, test=test)
        for name, test in [("low", 0.1), ("nan", math.nan), ("high", 0.9), ("middle", 0.5)]
    ]
    (table,) = rows(records)
    assert [row.rank for row in table.rows] == [1, 2, 3, 4]
    assert table.rows[0].model == best
    assert table.rows[1].model == "middle"
    assert table.rows[3].model == "nan"
    assert math.isnan(table.rows[3].test.mean)


@pytest.mark.parametrize(
    "change",
    [
        {"data": "citeseer"},
        {"split": "random"},
        {"selection": "last-epoch"},
        {"num_folds": 10},
        {"metric": "rocauc"},
        {"direction": "min"},
    ],
)
def test_another_protocol_is_another_table(make_record, change):
    tables = rows([make_record(), make_record(seed=1), make_record(seed=2, **change)])
    assert sorted(len(table.rows[0].runs) for table in tables) == [1, 2]


def test_the_same_run_twice_counts_once_as_it_finished_last(make_record):
    old = make_record(test=0.1, finished="2026-03-04T10:00:00+00:00")
    # One hour later, though its text sorts earlier.
    new = make_record(test=0.9, finished="2026-03-04T09:00:00-02:00")
    for records in ([old, new], [new, old]):
        (table,) = rows(records)
        assert table.repeated == 1
        assert table.rows[0].test == (0.9, None)
    assert rows([old, replace(new, fold=1, num_folds=1)])[0].repeated == 0


def test_folds_are_counted_once_each(make_record):
    records = [
        make_record(num_folds=10, fold=fold, seed=seed) for fold in (0, 4, 7) for seed in (0, 1)
    ]
    (row,) = rows(records)[0].rows
    assert (row.folds, len(row.runs)) == (3, 6)


def test_dirty_trees_and_other_data_are_marked(make_record):
    usual = [make_record(identity="usual", seed=seed) for seed in range(3)]
    dirty = make_record(identity="dirty", git={"commit": "b" * 40, "dirty": True}, test=0.2)
    other = make_record(identity="other", fingerprint="00", test=0.1)
    no_git = make_record(identity="no git", git=None, test=0.05)
    (table,) = rows([other, dirty, no_git, *usual])
    assert [(row.identity, row.dirty, row.other_data) for row in table.rows] == [
        ("usual", False, False),
        ("dirty", True, False),
        ("other", False, True),
        ("no git", False, False),
    ]


def test_only_settings_that_differ_are_shown(make_config):
    narrow = make_config({})
    wide = make_config({"model.hidden_dim": 64, "seed": 3, "logger": "none", "data.fold": 2})
    assert differing_settings([("gcn", narrow), ("gcn", wide)]) == [
        {"model.hidden_dim": 16},
        {"model.hidden_dim": 64},
    ]
    assert differing_settings([("gcn", narrow), ("gcn", narrow)]) == [{}, {}]


def test_what_another_model_does_not_have_is_no_difference(make_config):
    gcn = make_config({})
    sgc = make_config({"model": {"_target_": "gbench.models.sgc.SGC", "name": "sgc", "hops": 2}})
    assert differing_settings([("gcn", gcn), ("sgc", sgc)]) == [{}, {}]
    sgc["optim"]["lr"] = 0.2
    assert differing_settings([("gcn", gcn), ("sgc", sgc)]) == [
        {"optim.lr": 0.01},
        {"optim.lr": 0.2},
    ]


def test_what_tells_rows_of_one_model_apart_comes_first(make_config):
    settings = differing_settings(
        [
            ("gcn", make_config({})),
            ("gcn", make_config({"trainer.patience": 99})),
            ("sgc", make_config({"model.name": "sgc", "optim.lr": 0.2})),
        ]
    )
    assert [list(row) for row in settings] == [["trainer.patience", "optim.lr"]] * 3


def test_rows_of_one_model_never_read_the_same(make_config):
    """Each setting that makes another identity, a key that is new included, is shown."""
    changes = [
        {},
        {"model.hidden_dim": 64},
        {"model.norm": "none"},
        {"model._target_": "mine.GCN"},
        {"model.residual": True},
        {"model.residual": 1},
        {"data.homophily": 0.3},
        {"optim.decay_only": []},
        {"trainer.limits": {"a": {}}},
        {"trainer.limits": {"a": {"b": 1}}},
    ]
    shown = differing_settings([("gcn", make_config(change)) for change in changes])
    assert len({repr(sorted(settings.items())) for settings in shown}) == len(changes)
    assert shown[6]["data.homophily"] == 0.3
    assert shown[9]["trainer.limits.a.b"] == 1
