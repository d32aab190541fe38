import math
import statistics
from dataclasses import replace

import pytest

from gbench.board.notes import footnotes, marks
from gbench.board.statistics import median, spread
from gbench.board.tables import differing_settings, published_tables, rows

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


def test_runs_that_multiplied_in_different_ways_are_marked(make_record):
    of, other = {"forward": "torch"}, {"forward": "convolution"}
    ways = [
        ("alike", {"20 to 30": of}, {"20 to 30": of}),
        ("different", {"20 to 30": of}, {"20 to 30": other, "5 to 6": of}),
        ("not known of both", {"20 to 30": of}, {}),
    ]
    records = [
        make_record(identity=name, dense_products=products, seed=seed, test=0.5 - at / 10)
        for at, (name, *both) in enumerate(ways)
        for seed, products in enumerate(both)
    ]
    (table,) = rows(records)
    assert [(row.identity, row.other_products) for row in table.rows] == [
        ("alike", False),
        ("different", True),
        ("not known of both", False),
    ]
    assert [marks(row) for row in table.rows] == ["", "∥", ""]
    assert any(note.startswith("∥") for note in footnotes(table))


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


def spread_runs(make_record, identity, tests, **changes):
    return [
        make_record(identity=identity, seed=seed, test=test, **changes)
        for seed, test in enumerate(tests)
    ]


def test_rows_that_cannot_be_told_apart_from_the_best_are_tied(make_record):
    tests = [0.80, 0.82, 0.81, 0.83]
    records = [
        *spread_runs(make_record, "best", tests),
        *spread_runs(make_record, "near", [0.799, 0.8215, 0.808, 0.83]),
        *spread_runs(make_record, "far", [x - 0.1 for x in [0.801, 0.82, 0.81, 0.83]]),
        *spread_runs(make_record, "diverged", [0.8, math.nan, 0.9, 0.9]),
    ]
    (table,) = rows(records, ())
    assert [(row.identity, row.tied) for row in table.rows] == [
        ("best", True),
        ("near", True),
        ("far", False),
        ("diverged", False),
    ]
    alone = [record for record in records if record.identity in ("best", "far")]
    assert [row.tied for row in rows(alone, ())[0].rows] == [False, False]
    assert [row.tied for row in rows(alone[:4], ())[0].rows] == [False]


def test_a_row_of_one_run_is_equal_to_none(make_record):
    records = [
        make_record(identity="lucky", test=0.9),
        *spread_runs(make_record, "best", [0.80, 0.82, 0.81, 0.83]),
        *spread_runs(make_record, "near", [0.799, 0.8215, 0.808, 0.83]),
        make_record(identity="single", test=0.8),
    ]
    (table,) = rows(records, ())
    assert [(row.identity, row.tied) for row in table.rows] == [
        ("lucky", False),
        ("best", True),
        ("near", True),
        ("single", False),
    ]
    (table,) = rows([records[0], records[-1]], ())
    assert [row.tied for row in table.rows] == [False, False]


def test_ties_are_corrected_for_the_number_of_rows(make_record):
    best = spread_runs(make_record, "best", [0.80, 0.82, 0.81, 0.83])
    lower = [0.79, 0.806, 0.806, 0.82]  # paired with the best: p = 0.02
    (pair,) = rows([*best, *spread_runs(make_record, "x0", lower)], ())
    assert [row.tied for row in pair.rows] == [False, False]
    many = [run for i in range(6) for run in spread_runs(make_record, f"x{i}", lower)]
    (table,) = rows([*best, *many], ())  # times six: 0.12
    assert all(row.tied for row in table.rows)


def test_where_less_is_better_the_lowest_is_best_and_ties_follow(make_record):
    records = [
        *spread_runs(make_record, "low", [0.1, 0.11, 0.12], direction="min", metric="mae"),
        *spread_runs(make_record, "high", [0.3, 0.31, 0.33], direction="min", metric="mae"),
    ]
    (table,) = rows(records, ())
    assert [(row.identity, row.tied) for row in table.rows] == [("low", False), ("high", False)]


def test_a_row_has_its_interval_trials_and_experiment(make_record):
    runs = spread_runs(make_record, "a", TESTS)
    runs[2] = replace(runs[2], trials=60, config={**runs[2].config, "experiment": "gcn-cora"})
    (row,) = rows(runs, ())[0].rows
    # t(0.975, 4) = 2.7764451052
    assert row.interval == pytest.approx(
        2.7764451052 * statistics.stdev(TESTS) / math.sqrt(5), rel=1e-9
    )
    assert (row.trials, row.experiment, row.verdict) == (60, "gcn-cora", "")
    assert math.isnan(row.gap)
    assert rows(runs[:1], ())[0].rows[0].interval is None


def test_only_the_unchanged_experiment_is_held_against_its_paper(make_record, make_published):
    def row(paper, name="gcn-cora"):
        runs = spread_runs(make_record, "a", [0.81, 0.82, 0.815, 0.812, 0.818])
        for run in runs:
            run.config["experiment"] = name
        return rows(runs, [paper])[0].rows[0]

    paper = make_published(mean=0.9, experiment="gcn-cora")
    assert row(paper).verdict == "below"
    assert row(paper).gap < -20
    assert row(make_published(mean=0.7, experiment="gcn-cora")).verdict == "above"
    assert row(paper, name=None).verdict == ""
    assert row(paper, name="sgc-cora").verdict == ""
    assert row(make_published(mean=0.9, experiment="gcn-cora", data="pubmed")).verdict == ""


@pytest.mark.parametrize(
    ("protocol", "quirk"),
    [
        ({"split": "public"}, False),
        ({"split": "gin-10-fold-selects-on-test"}, True),
        ({"split": "dagnn-lcc-quirk"}, True),
        ({"split": "train-is-test"}, True),
        ({"selection": "last-epoch"}, False),
        ({"selection": "best-mean-epoch", "curve": [0.5, 0.6]}, True),
    ],
)
def test_protocols_that_select_on_test_data_are_marked(make_record, protocol, quirk):
    assert rows([make_record(**protocol)], ())[0].rows[0].quirk is quirk


def test_published_rows_stand_in_the_table_of_their_protocol(make_record, make_published):
    papers = [
        make_published(model="other data", data="pubmed"),
        make_published(model="other split", split="random"),
        make_published(model="other metric", metric="rocauc"),
        make_published(model="low", mean=0.2),
        make_published(model="last", selection="last-epoch"),
        make_published(model="best", selection="best-validation"),
        make_published(model="high", mean=0.9),
    ]

    def published(*selections):
        tables = rows([make_record(selection=chosen) for chosen in selections], papers)
        return {table.selection: [row.model for row in table.published] for table in tables}

    assert published("last-epoch") == {"last-epoch": ["high", "last", "best", "low"]}
    assert published("last-epoch", "best-validation") == {
        "last-epoch": ["high", "last", "low"],
        "best-validation": ["high", "best", "low"],
    }
    assert {row.model for row in rows([make_record()])[0].published} >= {"GCN", "SGC", "DAGNN"}


def test_published_results_alone_make_tables_too(make_published):
    papers = [
        make_published(mean=0.1),
        make_published(mean=0.3),
        make_published(data="zinc", metric="mae", mean=0.4),
        make_published(data="zinc", metric="mae", mean=0.2),
    ]
    cora, zinc = published_tables(papers)
    assert (cora.data, cora.direction, cora.rows) == ("cora", "max", ())
    assert (zinc.data, zinc.direction) == ("zinc", "min")
    assert [row.mean for row in cora.published] == [0.3, 0.1]
    assert [row.mean for row in zinc.published] == [0.2, 0.4]
