"""Audits made by hand, for what the leaderboard says of them."""

import pytest

from gbench.audits.fact import Audit, Fact, path_of

FINGERPRINT = "f1" * 8  # of the records that tests/conftest.py makes


@pytest.fixture(scope="session")
def make_audit():
    """`make_audit({"constant baseline": [48, 50]}, {"ceiling, no labels": 88.6})`.

    Facts of each fold and of the whole dataset; a unit stands behind a name as `name [MAE]`, else
    it is %, and count where the name says nodes. `part` is what facts of a fold call their split.
    """

    def unit_of(name):
        name, given, unit = name.partition(" [")
        return name, unit.rstrip("]") if given else ("count" if "test nodes" in name else "%")

    def make(folds, whole=None, *, data="cora", split="public", part=None, **changes):
        facts = [Fact("", None, unit_of(n)[0], v, unit_of(n)[1]) for n, v in (whole or {}).items()]
        for text, values in folds.items():
            name, unit = unit_of(text)
            values = values if isinstance(values, list) else [values]
            facts += [Fact(part or split, i, name, v, unit) for i, v in enumerate(values)]
        return Audit(data, split, changes.pop("fingerprint", FINGERPRINT), tuple(facts), **changes)

    return make


@pytest.fixture
def keep(tmp_path):
    """`keep(audit)`: in the folder of derived files that it answers."""

    def write(audit):
        audit.write(path_of(audit.dataset, audit.fingerprint, tmp_path / "derived"))
        return tmp_path / "derived"

    return write


IMDB = {  # means over ten folds of which two stand here: two ceilings that must not be confused
    "test ceiling, no labels": [96.0, 94.6],
    "constant baseline": [48.0, 48.4],
    "random forest on sizes": [67.0, 69.0],
    "table lookup, no labels": [60.0, 61.4],
}


@pytest.fixture(scope="session")
def imdb(make_audit):
    """An audit of graphs in two folds."""
    return make_audit(IMDB, {"ceiling, no labels": 88.6}, data="imdb-binary", split="gin-10-fold")


@pytest.fixture(scope="session")
def on_imdb(make_record):
    """`on_imdb([0.75, 0.77], model="gin")`: a run in each of as many folds."""

    def runs(tests, **changes):
        config = {"data.name": "imdb-binary", **changes.pop("config", {})}
        changes = {"identity": changes.get("model", "gcn"), **changes}
        return [
            make_record(
                config,
                data="imdb-binary",
                split="gin-10-fold",
                task="graph-classification",
                num_folds=2,
                fold=fold,
                test=test,
                item="graphs",
                **changes,
            )
            for fold, test in enumerate(tests)
        ]

    return runs
