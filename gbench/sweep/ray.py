"""Points as tasks of a Ray cluster.

`ray.address=HOST:PORT` names it (auto: the one that runs here; local: one of this machine's own).
A task has one GPU where the cluster has any, else one core; `ray.num_gpus=0.5` and `ray.num_cpus=4`
say otherwise. A point whose machine dies fails, and the sweep tries it again on another.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, redirect_stdout
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from gbench.config.compose import Config
from gbench.errors import UserError, unknown
from gbench.sweep.job import Message
from gbench.sweep.remote import Posted, failed

if TYPE_CHECKING:
    import ray

SETTINGS = ("address", "num_cpus", "num_gpus")


class Ray:
    """A cluster for gbench/sweep/remote.py."""

    def __init__(self, configs: Sequence[Config], settings: Mapping[str, str]) -> None:
        try:
            import ray
        except ImportError:
            raise UserError("executor=ray needs Ray: pip install 'gbench[ray]'") from None
        for key in settings:
            if key not in SETTINGS:
                raise unknown("setting of executor=ray", f"ray.{key}", SETTINGS)
        self.ray = ray
        # whatever log_to_driver says, Ray prints what happens to its own processes: the sweep tells
        # what became of the points
        self.silent = ExitStack()
        self.silent.enter_context(redirect_stdout(self.silent.enter_context(_nowhere())))
        address = settings.get("address", "auto")
        try:
            _knock(address)
            ray.init(
                address=address,
                log_to_driver=False,
                logging_level="ERROR",
                include_dashboard=False if address == "local" else None,
                runtime_env={"env_vars": _own_variables()},
            )
        except (OSError, ValueError) as error:
            self.silent.close()
            raise UserError(
                f"ray.address={address}: no Ray cluster answers there. Start one with "
                "`ray start --head`, or take ray.address=local"
            ) from error
        on_cpu = all(config["trainer"]["accelerator"] == "cpu" for config in configs)
        gpus = 0 if on_cpu or not self._has("GPU") else 1
        self.each = {
            "num_cpus": _number(settings, "num_cpus", 1),
            "num_gpus": _number(settings, "num_gpus", gpus),
        }

    def room(self) -> int:
        """How many points the cluster can run at once, as it is now."""
        needed = {"GPU": self.each["num_gpus"], "CPU": self.each["num_cpus"]}
        rooms = [self._has(name) / number for name, number in needed.items() if number]
        return max(1, int(min(rooms, default=1)))

    def submit(self, work: Posted) -> ray.ObjectRef:
        """Queue a task: a process of its own, which Ray does not start again by itself."""
        task = self.ray.remote(max_calls=1, max_retries=0, **self.each)(_carry_out)
        return task.remote(work)

    def heard(self, handle: ray.ObjectRef) -> Message | None:
        """How the task ended; one that died, or whose machine did, has failed."""
        if not self.ray.wait([handle], timeout=0)[0]:
            return None
        try:
            message: Message = self.ray.get(handle)
        except self.ray.exceptions.RayError as error:
            return failed(f"its process or machine died: {type(error).__name__}")
        return message

    def cancel(self, handles: Sequence[ray.ObjectRef], at_once: bool) -> None:
        """Interrupt or kill the tasks."""
        for handle in handles:
            self.ray.cancel(handle, force=at_once)

    def close(self) -> None:
        """Leave the cluster."""
        self.ray.shutdown()
        self.silent.close()

    def _has(self, resource: str) -> float:
        return float(self.ray.cluster_resources().get(resource, 0))


def _nowhere() -> IO[str]:
    return Path(os.devnull).open("w")


def _carry_out(work: Posted) -> Message:
    return work()


def _knock(address: str) -> None:
    """Raise OSError if nobody listens at HOST:PORT: Ray itself would try for two minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=10).close()


def _own_variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("GBENCH_")}


def _number(settings: Mapping[str, Any], key: str, usual: float) -> float:
    try:
        number = float(settings.get(key, usual))
    except ValueError:
        number = -1.0
    if number < 0:
        raise UserError(f"ray.{key}={settings[key]}: expected a number, such as 1 or 0.5")
    return int(number) if number.is_integer() else number
