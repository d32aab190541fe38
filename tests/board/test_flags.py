"""Rows against the floors and the ceilings of an audit, by records and audits made by hand."""

import math
import statistics
from dataclasses import replace

import pytest
from scipy import stats

from gbench.board.flags import flagged
from gbench.board.tables import rows
from gbench.board.worth_text import remark, worth_notes

SPLIT = "gin-10-fold"


@pytest.fixture
def flags(on_imdb, imdb):
    """`flags([0.7, 0.6], audit=..., model=...)`: what is said of a row of these runs."""

    def of(tests, audit=imdb, papers=(), **changes):
        (table,) = rows(on_imdb(tests, **changes), papers)
        (row,) = flagged(table, audit).rows
        return row.against_floor, row.beyond

    return of


def test_a_row_is_held_against_the_floor_of_its_own_folds(flags, make_audit):
    """Paired: the folds differ by far more than the row does from the floor."""
    floor = [40.0, 60.0, 80.0, 50.0]
    audit = make_audit({"constant baseline": floor}, data="imdb-binary", split=SPLIT)
    over = [2.0, 2.4, 1.9, 2.2]
    tests = [(a + b) / 100 for a, b in zip(floor, over, strict=True)]
    assert (
        stats.ttest_1samp(over, 0).pvalue
        < 0.05
        < stats.ttest_ind(floor, [100 * x for x in tests]).pvalue
    )
    assert flags(tests, audit)[0] == ""
    assert flags([(a - b) / 100 for a, b in zip(floor, over, strict=True)], audit)[0] == "worse"
    over = [2.0, -2.4, 1.9, 2.2]
    assert stats.ttest_1samp(over, 0).pvalue > 0.05
    assert flags([(a + b) / 100 for a, b in zip(floor, over, strict=True)], audit)[0] == "equal"


def test_the_best_floor_counts_whichever_it_is(flags, make_audit, on_imdb):
    floors = {"constant baseline": [50.0, 50.0], "random forest on sizes": [70.0, 70.0]}
    audit = make_audit(floors, data="imdb-binary", split=SPLIT)
    assert flags([0.699, 0.701], audit)[0] == "equal"
    lookup = on_imdb([0.9, 0.91], model="lookup", config={"model.is_network": False})
    (table,) = rows([*on_imdb([0.699, 0.701]), *lookup], ())
    table = flagged(table, audit)
    assert (table.bar.name, table.bar.is_fact) == ("lookup", False)
    assert {row.model: remark(row) for row in table.rows} == {
        "lookup": "no network",
        "gcn": "worse than floor",
    }
    assert table.rows[0].rank == 1  # a floor is ranked like any other row


def test_a_floor_that_lacks_folds_of_others_is_no_bar(make_audit, on_imdb):
    floor = on_imdb([0.9], model="lookup", config={"model.is_network": False})
    (table,) = rows([*on_imdb([0.5, 0.51]), *floor], ())
    assert flagged(table, None).bar is None
    audit = make_audit({"constant baseline": [60.0, 60.0]}, data="imdb-binary", split=SPLIT)
    table = flagged(table, audit)
    assert table.bar.name == "majority"
    assert [row.against_floor for row in table.rows] == ["", "worse"]
    assert [math.isnan(row.seconds_per_epoch) for row in table.rows] == [True, False]


def test_a_floor_that_draws_is_compared_run_by_run(make_record):
    """Seeds of a forest pair with those of a network; with one run it stands for its value."""

    def runs(model, tests, **config):
        return [
            make_record(config, model=model, identity=model, seed=seed, test=test)
            for seed, test in enumerate(tests)
        ]

    forest = {"model.is_network": False}
    ours, theirs = [0.70, 0.72, 0.74], [0.69, 0.71, 0.729]
    assert (
        stats.ttest_rel(ours, theirs).pvalue
        < 0.05
        < stats.ttest_1samp(ours, statistics.mean(theirs)).pvalue
    )
    (table,) = rows([*runs("gcn", ours), *runs("counts", theirs, **forest)], ())
    assert [row.against_floor for row in flagged(table, None).rows] == ["", ""]
    (table,) = rows([*runs("gcn", ours), *runs("counts", theirs[:1], **forest)], ())
    (gcn,) = (row for row in flagged(table, None).rows if row.model == "gcn")
    assert gcn.against_floor == "equal"


def test_a_single_run_and_one_of_other_data_are_held_against_nothing(flags):
    assert flags([0.10])[0] == ""
    assert flags([0.10, 0.11]) == ("worse", "")
    assert flags([0.10, 0.11], fingerprint="0" * 64) == ("", "")
    assert flags([0.99, 0.99], fingerprint="0" * 64) == ("", "")


def test_a_score_above_what_its_model_can_see_is_flagged(flags, make_audit):
    audit = make_audit(
        {
            "test ceiling at depth 0, no labels": [60.0, 62.0],
            "test ceiling at depth inf, no labels": [70.0, 80.0],
            "test ceiling, no labels": [90.0, 92.0],
        },
        data="imdb-binary",
        split=SPLIT,
    )
    mlp = {"model._target_": "gbench.models.mlp.MLP"}
    gin = {"model._target_": "gbench.models.gin.GIN"}
    own = {"model._target_": "mine.Net"}
    copies = {"model._target_": "gbench.models.dss_gnn.SubgraphGNN"}
    encoded = {**gin, "encoding": {"name": "rwse"}}
    floor = {"model.is_network": False}
    said = {
        (mean, name): flags([mean, mean], audit, config=config)[1]
        for mean in (0.6, 0.61, 0.62, 0.75, 0.76, 0.91, 0.92)
        for name, config in {
            "mlp": mlp,
            "gin": gin,
            "own": own,
            "copies": copies,
            "encoded": encoded,
            "floor": floor,
        }.items()
    }
    assert {key: word for key, word in said.items() if word} == {
        (0.62, "mlp"): "features",
        **{(mean, "mlp"): "features" for mean in (0.75, 0.76, 0.91, 0.92)},
        **{(mean, "gin"): "1-WL" for mean in (0.76, 0.91, 0.92)},
        **{(0.92, name): "isomorphism" for name in ("own", "copies", "encoded")},
    }


def test_the_ceiling_of_a_row_is_that_of_the_folds_it_has(make_audit, on_imdb):
    """Fold 1 alone: above the mean of both folds' ceilings, not above its own."""
    audit = make_audit(
        {"test ceiling at depth inf, no labels": [70.0, 90.0]}, data="imdb-binary", split=SPLIT
    )
    for fold, word in ((1, ""), (0, "1-WL")):
        (table,) = rows([on_imdb([0.85, 0.85])[fold]], ())
        assert flagged(table, audit).rows[0].beyond == word


def test_an_error_is_beyond_where_it_is_smaller(make_audit, make_record):
    audit = make_audit(
        {"MAE floor at depth inf, node labels [MAE]": 0.2, "median baseline [MAE]": 1.5},
        data="zinc",
        part="test",
    )
    for test, said in ((0.19, ("", "1-WL")), (0.21, ("", "")), (1.6, ("worse", ""))):
        runs = [
            make_record(
                data="zinc", metric="mae", direction="min", seed=seed, test=test + seed / 1e3
            )
            for seed in range(3)
        ]
        (table,) = rows(runs, ())
        (row,) = flagged(table, audit).rows
        assert (row.against_floor, row.beyond) == said


def test_no_row_is_beyond_by_average_precision(make_audit, make_record):
    """The AP ceiling is that of one score of each class and not the highest there is."""
    facts = {
        "AP ceiling at depth inf, all features [AP]": 0.7,
        "constant score [AP]": 0.1,
    }
    runs = [make_record(data="mol", metric="ap", seed=seed, test=0.72) for seed in range(2)]
    (table,) = rows(runs, ())
    table = flagged(table, make_audit(facts, data="mol", part="test"))
    assert table.rows[0].beyond == ""
    assert any("can be passed by a little" in note for note in worth_notes(table))
    of_auc = {name.replace("AP", "ROC-AUC"): value for name, value in facts.items()}
    (table,) = rows([replace(run, metric="rocauc") for run in runs], ())
    table = flagged(table, make_audit(of_auc, data="mol", part="test"))
    assert table.rows[0].beyond == "1-WL"
    assert not any("can be passed" in note for note in worth_notes(table))


def test_printed_means_are_held_against_both(make_audit, make_record, make_published):
    audit = make_audit(
        {
            "test ceiling at depth inf": 90.0,
            "test ceiling at depth 0": 60.0,
            "constant baseline": 50.0,
        }
    )
    papers = {
        "above": make_published(model="GPS", mean=0.95, std=0.01, n=10),
        "rounded": make_published(model="GCN", mean=0.9004, std=0.01, n=10),
        "features": make_published(model="MLP", mean=0.7, std=0.01, n=10),
        "equal": make_published(model="GAT", mean=0.503, std=0.01, n=5),
        "worse": make_published(model="SGC", mean=0.45, std=0.01, n=10),
        "no deviation": make_published(model="APPNP", mean=0.45, std=None, n=10),
    }
    (table,) = rows([make_record()], [*papers.values()])
    said = {row.model: remark(row) for row in flagged(table, audit).published}
    assert said == {
        "GPS": "beyond 1-WL",
        "GCN": "",
        "MLP": "beyond features",
        "GAT": "= floor",
        "SGC": "worse than floor",
        "APPNP": "",
    }


def test_rules_are_told_below_the_table_as_far_as_they_are_used(make_audit, make_record):
    audit = make_audit(
        {
            "test ceiling at depth inf": 90.0,
            "table lookup by neighbours, else logistic regression": 58.0,
        }
    )
    (table,) = rows([make_record(seed=seed, test=0.95 + seed / 100) for seed in range(2)], ())
    definitions, beyond = worth_notes(flagged(table, audit))
    assert "table lookup by neighbours, else logistic regression" in definitions
    assert "of ties the smallest" in definitions
    assert beyond.startswith("beyond features, 1-WL or isomorphism")
    assert list(worth_notes(table)) == []
