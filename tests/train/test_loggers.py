"""TensorBoard and MLflow: what they hold is what the record and the curve say."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from gbench.errors import UserError
from gbench.train.interrupt import Interrupted

SHORT = ("model=gcn", "data=csbm", "trainer.max_epochs=4", "trainer.select=best")


def curve(folder: Path) -> list[float]:
    with (folder / "metrics.csv").open() as file:
        return [float(row["valid"]) for row in csv.DictReader(file)]


def cut_after(epochs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next run is interrupted then, and its checkpoint is of the epoch before."""
    from gbench.train import loader
    from gbench.train.epochs import Epochs

    end_epoch = Epochs._end_epoch

    def cut(self: Epochs, trainer: Any, task: Any) -> None:
        end_epoch(self, trainer, task)
        if task.epoch == epochs:
            raise Interrupted(15)

    monkeypatch.setattr(loader, "ROUND_SECONDS", 0.0)
    monkeypatch.setattr(Epochs, "_end_epoch", cut)


def test_tensorboard_has_the_curve_the_settings_and_the_result(run: Any) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    record, folder = run(*SHORT, "logger=tensorboard")
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    assert [event.value for event in events.Scalars("valid")] == pytest.approx(curve(folder))
    assert [event.step for event in events.Scalars("valid")] == [0, 1, 2, 3]
    assert events.Scalars("tested/test")[0].value == pytest.approx(record.test)
    assert "model.hidden_dim: 16" in (folder / "tensorboard" / "hparams.yaml").read_text()


def test_an_interrupted_run_goes_on_as_the_same_mlflow_run(
    run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with monkeypatch.context() as patch:
        cut_after(3, patch)
        with pytest.raises(Interrupted):
            run(*SHORT, "logger=mlflow")
    client = mlflow.MlflowClient((tmp_path / "runs" / "mlruns").as_uri())
    experiment = client.get_experiment_by_name("gbench").experiment_id
    (cut,) = client.search_runs([experiment])
    assert cut.info.status == "FAILED"

    record, folder = run(*SHORT, "logger=mlflow")
    (done,) = client.search_runs([experiment])
    assert done.info.run_id == cut.info.run_id
    assert (done.info.run_name, done.info.status) == (record.run, "FINISHED")
    history = {m.step: m.value for m in client.get_metric_history(done.info.run_id, "valid")}
    assert [history[step] for step in range(4)] == curve(folder)
    assert done.data.metrics["tested/test"] == record.test
    assert done.data.params["optim.lr"] == "0.01"
    assert done.data.tags["data"] == "csbm"


@pytest.mark.parametrize(
    ("logger", "package"), [("tensorboard", "tensorboard"), ("mlflow", "mlflow-skinny")]
)
def test_a_missing_package_is_named(
    logger: str, package: str, run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from gbench.train import loggers

    monkeypatch.setattr(loggers, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=rf"logger={logger} .* pip install {package}"):
        run(*SHORT, f"logger={logger}")
    assert not (tmp_path / "runs").exists()


def test_a_clock_that_goes_backwards_harms_nothing(
    run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Durations come from a clock that cannot; the two times of day in the record are as told."""
    from datetime import UTC, datetime, timedelta

    import gbench.run
    from gbench.results import inventory, leaderboard, store

    class Backwards(datetime):
        told = 0

        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            cls.told += 1
            return datetime(2030, 1, 1, tzinfo=UTC) - timedelta(days=cls.told)

    monkeypatch.setattr(gbench.run, "datetime", Backwards)
    record, folder = run(*SHORT)
    assert record.finished < record.started
    assert 0 < record.seconds_per_epoch <= record.seconds_total
    records, problems = store.find([tmp_path / "runs"])
    assert (records, problems) == ([record], [])
    (table,) = leaderboard.rows(records)
    assert table.rows[0].runs == (record,)
    assert inventory.entry(folder).state == "finished"
