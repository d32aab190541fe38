"""TensorBoard and MLflow: what they hold is what the record and the curve say."""

from __future__ import annotations

import csv
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
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

    end_epoch = Epochs.end_epoch

    def cut(self: Epochs, trainer: Any, task: Any) -> None:
        end_epoch(self, trainer, task)
        if task.epoch == epochs:
            raise Interrupted(15)

    monkeypatch.setattr(loader, "ROUND_SECONDS", 0.0)
    monkeypatch.setattr(Epochs, "end_epoch", cut)


def test_tensorboard_has_the_curve_the_settings_and_the_result(run: Any) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    record, folder = run(*SHORT, "logger=tensorboard")
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    assert [event.value for event in events.Scalars("valid")] == pytest.approx(curve(folder))
    assert [event.step for event in events.Scalars("valid")] == [0, 1, 2, 3]
    tested = record.best_epoch - 1
    for tag, value in (
        ("tested/test", record.test),
        ("tested/valid", record.valid),
        ("best_epoch", record.best_epoch),
    ):
        (event,) = events.Scalars(tag)
        assert (event.step, event.value) == (tested, pytest.approx(value))
    assert "model.hidden_dim: 16" in (folder / "tensorboard" / "hparams.yaml").read_text()

    # the HPARAMS tab: which settings and metrics there are, what this run has of them, its end
    from tensorboard.plugins.hparams import metadata

    told = events.PluginTagToContent(metadata.PLUGIN_NAME)
    started = metadata.parse_session_start_info_plugin_data(told[metadata.SESSION_START_INFO_TAG])
    assert started.hparams["optim.lr"].number_value == 0.01
    assert started.hparams["data.name"].string_value == "csbm"
    of_all = metadata.parse_experiment_plugin_data(told[metadata.EXPERIMENT_TAG])
    shown = {info.name.tag for info in of_all.metric_infos}
    assert shown == {"tested/test", "tested/valid", "best_epoch"}
    assert metadata.SESSION_END_INFO_TAG in told


def test_tensorboard_shows_each_epoch_of_an_interrupted_run_once(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with monkeypatch.context() as patched:
        cut_after(3, patched)  # the third epoch was logged, and is trained again
        with pytest.raises(Interrupted):
            run(*SHORT, "logger=tensorboard")
    _, folder = run(*SHORT, "logger=tensorboard")
    assert len([*(folder / "tensorboard").glob("events.*")]) == 2
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("valid")] == [0, 1, 2, 3]
    assert [event.value for event in events.Scalars("valid")] == pytest.approx(curve(folder))


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
    for key, value in (("tested/test", record.test), ("best_epoch", record.best_epoch)):
        (metric,) = client.get_metric_history(done.info.run_id, key)
        assert (metric.step, metric.value) == (record.best_epoch - 1, value)
    assert done.data.params["optim.lr"] == "0.01"
    assert done.data.tags["data"] == "csbm"


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """The mirror of a run, in a folder."""
    pytest.importorskip("mlflow")
    from gbench.mirror import mlflow as mlflow_mirror

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setattr(mlflow_mirror, "LAST_SECONDS", 0.2)
    uri = (tmp_path / "mlruns").as_uri()
    return lambda uri=uri: mlflow_mirror.MlflowMirror(uri, "gbench", "a-run", {})


def test_runs_that_begin_at_once_make_one_experiment(
    mirror: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder, which would take two; and where a server says that another was faster."""
    from mlflow.tracking import MlflowClient

    with ThreadPoolExecutor(4) as pool:
        ids = {made.experiment_id for made in pool.map(lambda _: mirror(), range(4))}
    assert len(ids) == 1
    find, there = MlflowClient.get_experiment_by_name, [True, False]  # at first it is not

    def found(self: Any, name: str) -> Any:
        return find(self, name) if there.pop() else None

    monkeypatch.setattr(MlflowClient, "get_experiment_by_name", found)
    assert {mirror().experiment_id} == ids


def test_an_experiment_that_was_deleted_is_told(mirror: Any) -> None:
    made = mirror()
    made.client.delete_experiment(made.experiment_id)
    with pytest.raises(UserError, match="'gbench' was deleted in MLflow"):
        mirror()


def test_no_server_is_told_before_the_training(run: Any, tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    with socket.socket() as nobody:  # a port that is taken, and not listened at
        nobody.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        with pytest.raises(UserError, match=f"MLflow does not answer at {uri}: .*refused.*csv"):
            run(*SHORT, "logger=mlflow", f"logger.tracking_uri={uri}")
    assert not (tmp_path / "runs").exists()


def test_no_server_is_told_before_any_point_of_a_sweep(tmp_path: Path) -> None:
    from rich.console import Console

    from gbench.config.compose import compose
    from gbench.sweep.engine import run_all
    from gbench.sweep.words import Options

    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        words = (*SHORT, "logger=mlflow", f"logger.tracking_uri={uri}", f"runs_dir={tmp_path}/r")
        with pytest.raises(UserError, match="MLflow does not answer at"):
            run_all([compose(words)], options=Options(), console=Console(quiet=True))
    assert not (tmp_path / "r").exists()


def test_a_server_that_does_not_answer_is_told(
    mirror: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        uri = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        with pytest.raises(UserError, match=f"MLflow does not answer at {uri}: it takes too long"):
            mirror(uri)


def test_epochs_are_sent_together_by_another_thread(
    mirror: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = mirror()
    made.begin({"optim.lr": 0.1})
    send, requests = made.client.log_batch, []

    def count(run_id: str, metrics: Sequence[Any]) -> None:
        requests.append(len(metrics))
        send(run_id, metrics=metrics)

    monkeypatch.setattr(made.client, "log_batch", count)
    for step in range(40):
        made.log_metrics({"valid": 1 / (1 + step), "train_loss": 0.5}, step)
    assert requests == []
    made.end({"valid": 0.4, "test": 0.5, "best_epoch": 3}, 0)
    assert requests == [83]
    history = made.client.get_metric_history(made.run_id, "valid")
    assert {m.step: m.value for m in history} == {step: 1 / (1 + step) for step in range(40)}


def test_a_server_that_dies_stops_no_run(
    run: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pytest.importorskip("mlflow")
    from mlflow.tracking import MlflowClient

    from gbench.mirror import mlflow as mlflow_mirror

    log_batch = MlflowClient.log_batch

    def gone(self: Any, run_id: str, metrics: Any = (), params: Any = ()) -> None:
        if metrics:
            raise ConnectionError("refused")
        log_batch(self, run_id, params=params)

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(MlflowClient, "log_batch", gone)
    monkeypatch.setattr(mlflow_mirror, "LAST_SECONDS", 0.2)
    monkeypatch.setattr(mlflow_mirror, "SEND_SECONDS", 0.01)
    record, folder = run(*SHORT, "logger=mlflow")
    assert record.epochs == len(curve(folder)) == 4
    said = capsys.readouterr().err
    assert "has not taken the metrics of 4 epochs; metrics.csv has them" in said


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

    import gbench.training
    from gbench.board import tables as leaderboard
    from gbench.records import find as store
    from gbench.records import inventory

    class Backwards(datetime):
        told = 0

        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            cls.told += 1
            return datetime(2030, 1, 1, tzinfo=UTC) - timedelta(days=cls.told)

    monkeypatch.setattr(gbench.training, "datetime", Backwards)
    record, folder = run(*SHORT)
    assert record.finished < record.started
    assert 0 < record.seconds_per_epoch <= record.seconds_total
    records, problems = store.find([tmp_path / "runs"])
    assert (records, problems) == ([record], [])
    (table,) = leaderboard.rows(records)
    assert table.rows[0].runs == (record,)
    assert inventory.entry(folder).state == "finished"
