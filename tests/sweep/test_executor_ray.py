"""Points as tasks of a real Ray cluster of two nodes, one of which dies. About half a minute."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from gbench.config.compose import Config
from gbench.errors import UserError
from gbench.records import record as records
from gbench.sweep import engine
from gbench.sweep.points import run_folder
from gbench.sweep.ray import Ray
from gbench.sweep.remote import Remote
from gbench.sweep.words import Options

from .conftest import record_of

Configs = Callable[[int], list[Config]]

pytestmark = pytest.mark.companions

# What a task runs in place of a training: first attempts say where they are and wait to be let on.
WORK = """
import os, time

def run(config, folder, send):
    import ray
    (folder / "node").write_text(ray.get_runtime_context().get_node_id())
    while not (folder.parent / "go-on").exists():
        time.sleep(0.05)
    os.rename(folder / "prepared.json", folder / "record.json")
    return {"kind": "end", "state": "finished"}
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head without cores, and two nodes of two cores each."""
    try:
        import ray
        from ray.cluster_utils import Cluster
    except ImportError:
        reason = "needs Ray: pip install 'gbench[ray]'"
        if os.environ.get("GBENCH_REQUIRE_RAY"):
            pytest.fail(reason)
        pytest.skip(reason)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    made = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "include_dashboard": False, "object_store_memory": 10**8},
    )
    yield made
    ray.shutdown()
    made.shutdown()


def test_a_node_that_dies_costs_no_point(
    cluster: Any,
    configs: Configs,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    nodes = [cluster.add_node(num_cpus=2, object_store_memory=10**8) for _ in range(2)]
    cluster.wait_for_nodes()
    (tmp_path / "work_of_tasks.py").write_text(WORK)
    monkeypatch.syspath_prepend(tmp_path)
    points = configs(6)
    for config in points:
        folder = run_folder(config)
        folder.mkdir(parents=True)
        records.write(record_of(config, folder), folder).rename(folder / "prepared.json")
    runs_dir = run_folder(points[0]).parent
    died_with: list[str] = []
    ended: list[dict[str, Any]] = []

    class Watched(Remote):
        """Lets a node die as soon as four points run, two on each."""

        def wait(self, seconds: float) -> list[tuple[int, dict[str, Any]]]:
            heard = super().wait(seconds)
            places = {path.parent: path.read_text() for path in runs_dir.glob("*/node")}
            if not died_with and len(places) == 4 and all(places.values()):
                died_with.extend(n.name for n, at in places.items() if at == nodes[1].node_id)
                cluster.remove_node(nodes[1], allow_graceful=False)
            ended.extend(message for _, message in heard if message["kind"] == "end")
            if len(ended) == 2:  # the processes of a dead node live on for a moment
                (runs_dir / "go-on").touch()
            return heard

    ray = Ray(points, {"address": cluster.address})
    assert ray.room() == 4
    executor = Watched(ray, ray.room(), "work_of_tasks.run")
    monkeypatch.setattr(engine, "make_executor", lambda configs, options: executor)
    printed = Console(record=True, quiet=False, file=(tmp_path / "out").open("w"), width=200)
    outcomes = engine.run_all(points, options=Options(retries=1), console=printed)
    assert len(died_with) == 2
    assert [outcome.state for outcome in outcomes] == ["finished"] * 6
    assert [outcome.record.seed for outcome in outcomes if outcome.record] == [*range(6)]
    text = printed.export_text()
    assert text.count("its process or machine died") == 2
    assert text.count("✓") == 6
    places = [(outcome.folder / "node").read_text() for outcome in outcomes]
    assert {*places} == {nodes[0].node_id}
    assert [*(runs_dir / ".letters").glob("*")] == []
    assert "raylet" not in capfd.readouterr().out


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"adress": "auto"}, r"unknown setting of executor=ray 'ray\.adress'"),
        ({"address": "127.0.0.1:1"}, "no Ray cluster answers there"),
    ],
    ids=["unknown", "nobody-there"],
)
def test_wrong_settings_are_the_users(
    configs: Configs, settings: dict[str, str], message: str
) -> None:
    pytest.importorskip("ray")
    with pytest.raises(UserError, match=message):
        Ray(configs(1), settings)
