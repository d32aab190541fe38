"""A run's curve in MLflow: sent in batches from a thread, so that no epoch waits for the server.

A server that is not there is told before the training; one that goes away while it runs costs the
mirror what is missing there, which metrics.csv has, and the run nothing.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from gbench.config.flat import flatten
from gbench.errors import UserError
from gbench.locks import take
from gbench.mirror.mirrored import Mirror, Settings, tested
from gbench.mirror.mlflow_address import knock, refusal

if TYPE_CHECKING:
    from mlflow.entities import Metric, Run
    from mlflow.tracking import MlflowClient

SEND_SECONDS = 2.0  # between two batches
MOST_METRICS, MOST_PARAMS, MOST_SIGNS = 1000, 100, 500  # of a request, and of a param's value
ANSWER_SECONDS = 30  # of a request: a new server makes its tables at first
LAST_SECONDS = 10  # for which what is left at the end of a run is sent again and again


class MlflowMirror(Mirror):
    """One MLflow run per run, the same when resumed."""

    def __init__(self, uri: str, experiment: str, run_name: str, tags: Mapping[str, str]) -> None:
        """Raise UserError if there is no MLflow at `uri`, or not this experiment in it."""
        super().__init__()
        logging.getLogger("mlflow").setLevel(logging.ERROR)
        # a request that failed is sent again by the thread below
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(ANSWER_SECONDS))
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        self.uri, self.experiment, self.run_name, self.tags = uri, experiment, run_name, dict(tags)
        self.client, self.experiment_id = _opened(uri, experiment)
        self.run_id = ""
        self.waiting: list[Metric] = []
        self.sending = threading.Lock()
        self.over = threading.Event()

    def begin(self, settings: Settings) -> None:
        """Find or make the MLflow run, and begin to send."""
        from mlflow.entities import Param

        try:
            self.run_id = self._run().info.run_id
        except Exception as error:
            raise refusal(self.uri, error) from error
        params = [Param(key, str(value)[:MOST_SIGNS]) for key, value in flatten(settings)]
        for part in _parts(params, MOST_PARAMS):
            self._tell(partial(self.client.log_batch, self.run_id, params=part))
        threading.Thread(target=self._send_on, name="mlflow", daemon=True).start()

    def _run(self) -> Run:
        with _only_one(self.uri):
            query = f"attributes.run_name = '{self.run_name}'"
            for run in self.client.search_runs([self.experiment_id], query):
                self.client.update_run(run.info.run_id, status="RUNNING")
                return run
            return self.client.create_run(
                self.experiment_id, tags=self.tags, run_name=self.run_name
            )

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Have them sent."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        named = {key.replace("@", "-at-"): value for key, value in metrics.items()}  # as it must be
        self.waiting += [Metric(key, value, now, step or 0) for key, value in named.items()]

    def end(self, figures: Mapping[str, Any], code: int) -> None:
        """Send what is left and how it ended, if the server is still there."""
        if figures:
            self.log_metrics(*tested(figures))
        self.over.set()
        until = time.monotonic() + LAST_SECONDS
        while self.waiting and not self._send() and time.monotonic() < until:
            time.sleep(0.5)
        if self.waiting:
            steps = {metric.step for metric in self.waiting}
            print(
                f"gbench: MLflow at {self.uri} has not taken the metrics of {len(steps)} epochs; "
                "metrics.csv has them",
                file=sys.stderr,
            )
        else:
            status = "FAILED" if code else "FINISHED"
            self._tell(lambda: self.client.set_terminated(self.run_id, status))

    def _send_on(self) -> None:
        while not self.over.wait(SEND_SECONDS):
            self._send()

    def _send(self) -> bool:
        """Send what waits; whether all of it has arrived."""
        if not self.sending.acquire(timeout=ANSWER_SECONDS):
            return False
        try:
            while batch := self.waiting[:MOST_METRICS]:
                self.client.log_batch(self.run_id, metrics=batch)
                del self.waiting[: len(batch)]
        except Exception:  # of MLflow, of requests, of the disk: the run goes on
            return False
        finally:
            self.sending.release()
        return True

    def _tell(self, call: Callable[[], object]) -> None:
        try:
            call()
        except Exception as error:
            sentence = next(iter(str(error).splitlines()), type(error).__name__)
            print(f"gbench: MLflow at {self.uri}: {sentence}", file=sys.stderr)


def _opened(uri: str, name: str) -> tuple[MlflowClient, str]:
    """A client, and the experiment's id; it is made if it is not there."""
    knock(uri)
    try:
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient

        client = MlflowClient(uri)
        with _only_one(uri):
            found = client.get_experiment_by_name(name)
            if found is None:
                try:
                    return client, client.create_experiment(name)
                except MlflowException:  # another run was faster
                    found = client.get_experiment_by_name(name)
                    if found is None:
                        raise
    except Exception as error:
        raise refusal(uri, error) from error
    if found.lifecycle_stage == "deleted":
        raise UserError(
            f"the experiment '{name}' was deleted in MLflow at {uri}: restore it there, or take "
            "another, logger.experiment=NAME"
        )
    return client, found.experiment_id


def _only_one(uri: str) -> Any:
    """A folder as a store lets two processes make the same experiment: one at a time."""
    place = urlsplit(uri)
    if place.scheme not in ("", "file"):
        return nullcontext()
    return _locked(Path(unquote(place.path)))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f".{folder.name}.lock").open("w") as lock:
        with suppress(OSError):  # a file system without locks
            take(lock, wait=True)
        yield


def _parts(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))
