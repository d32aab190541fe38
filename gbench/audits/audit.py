"""An audit of a dataset, from top to bottom: kept, or read, computed kind by kind, and kept."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

from gbench import __version__
from gbench.audits.fact import Audit, Fact, Value, kept, over_folds, path_of
from gbench.data.files import cache
from gbench.data.files.ready import fingerprint_of
from gbench.data.spec import DataCard, Level

# of this room, what shows facts and computes none
SHOWING = ("blocks.py", "definitions.py", "show.py")

Tell = Callable[[str], None]


def audit(
    card: DataCard,
    data_dir: Path,
    cache_dir: Path,
    source: str = "",
    tell: Tell = lambda line: None,
) -> Audit:
    """All facts of a dataset: those that are kept, if data and code are the same, else computed.

    The dataset is prepared first where that is not done yet, its raw files fetched from `source`
    (empty: their official URLs). `tell` is given a line at each step of what takes time. Raises
    UserError as training does: raw files cannot be had or are not the published ones, a folder
    cannot be written.
    """
    known = fingerprint_of(card, data_dir, cache_dir)
    if known and (found := current(card.name, known, cache_dir)):
        return found
    begun = time.perf_counter()

    def begin(what: str) -> None:
        tell(f"{card.title}: {what} ({time.perf_counter() - begun:.1f} s so far)")

    begin("reading")
    from gbench.audits.audited import audited

    data = audited(card, data_dir, cache_dir, source)
    if found := current(card.name, data.dataset.fingerprint, cache_dir):
        return found
    facts: list[Fact] = []
    for title, kind in kinds(card.level).items():
        begin(title)
        facts += (fact._replace(value=_plain(fact.value)) for fact in kind.facts(data))
    facts += over_folds(facts, card.split)
    seconds = time.perf_counter() - begun
    made = Audit(
        card.title,
        card.split,
        data.dataset.fingerprint,
        tuple(facts),
        data.skipped,
        seconds,
        versions(),
    )
    path = path_of(card.name, made.fingerprint, cache_dir)
    with cache.writing(path.parent):
        made.write(path)
    tell(f"{card.title}: {len(facts):,} facts in {seconds:.1f} s, kept in {path}")
    return made


def current(name: str, fingerprint: str, cache_dir: Path) -> Audit | None:
    """The kept audit of these data by this code; None where there is none."""
    found = kept(name, fingerprint, cache_dir)
    return found if found and found.versions.get("code") == code() else None


def kinds(level: Level) -> Mapping[str, ModuleType]:
    """The modules that tell facts of datasets of a level, in their order.

    Each has `facts(data: Audited) -> Iterator[Fact]` and `DEFINITIONS`, a sentence for each fact.
    """
    from gbench.audits import parts, shape

    found = {"size and shape": shape, "labels and parts": parts}
    if level == "node":
        from gbench.audits import homophily, leaks, node_ceilings, node_floors, twins

        return {
            **found,
            "homophily": homophily,
            "twins": twins,
            "leaks": leaks,
            "ceilings": node_ceilings,
            "floors": node_floors,
        }
    if level == "graph":
        from gbench.audits import graph_ceilings, graph_classes, graph_floors, graph_leaks

        return {
            **found,
            "equal graphs": graph_classes,
            "ceilings": graph_ceilings,
            "leaks": graph_leaks,
            "floors": graph_floors,
        }
    from gbench.audits import link_floors

    return {**found, "links": link_floors}


def _plain(value: Value) -> Value:
    """Python's own number in place of numpy's, which would be shown as `np.float64(81.35)`."""
    return value.item() if hasattr(value, "item") else value


def code() -> str:
    """One hash of the code of this room: facts of another version are computed anew."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        if path.name not in SHOWING:
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def versions() -> dict[str, str]:
    """What computed an audit."""
    packages = ("numpy", "scipy", "scikit-learn")
    return {"gbench": __version__, "code": code()} | {name: version(name) for name in packages}
