"""The executor of this machine: processes that the fork server forks, for one job or several."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import IO

from gbench.config.compose import Config
from gbench.parallel import num_cores
from gbench.sweep.job import RUN_POINT, Job, Message
from gbench.sweep.process import Process
from gbench.sweep.room import Taken, runs_on_each, told
from gbench.sweep.sharing import kind
from gbench.sweep.words import Jobs

# On datasets of so many nodes in all, small graphs as PROTEINS or one as CS, a second thread makes
# a run 0.7 to 1.6 times as fast, and where another process wants the core 30 times as slow.
SMALL = 100_000
CORES_OF_LARGE = 4


class Local:
    """Processes of this machine, each with its own GPU or its share of the cores."""

    def __init__(self, configs: Sequence[Config], jobs: Jobs = None, runs: str = RUN_POINT) -> None:
        self.runs = runs
        on_cpu = all(config["trainer"]["accelerator"] == "cpu" for config in configs)
        shared = any(config["trainer"]["devices"] not in (1, "auto") for config in configs)
        self.gpus = [] if on_cpu else visible_gpus()
        cores = num_cores()
        each = 1 if all(map(_is_small, configs)) else CORES_OF_LARGE
        if shared:  # a run on several devices chooses them itself
            self.gpus = []
        self.is_asking = jobs == "auto" and bool(self.gpus)  # the first runs how much they take
        given = None if jobs == "auto" else jobs
        self.slots = given or (1 if shared else len(self.gpus) or max(1, cores // each))
        self.cores = cores
        self.modules = _modules(configs)
        self.running: list[Process] = []
        self.idle: list[Process] = []  # that have done jobs and wait for more of their kind
        self.server: _Server | None = None

    @property
    def threads(self) -> int:
        """Of each process."""
        given = os.environ.get("OMP_NUM_THREADS", "")
        return int(given) if given.isdecimal() else max(1, self.cores // self.slots)

    def start(self, key: int, config: Config, folder: Path) -> None:
        """Give the job to a process that has done such jobs, or to a new one."""
        shared = kind(config)
        process = self._waiting(shared) or self._forked(shared)
        self.running.append(process)
        device = self.gpus[process.slot % len(self.gpus)] if self.gpus else None
        process.give(key, Job(config, folder, self.threads, device, self.runs, bool(shared)))

    def wait(self, seconds: float) -> list[tuple[int, Message]]:
        """What was heard of the points, after at most so long."""
        ready = wait_for([process.channel for process in self.running], seconds)
        heard: list[tuple[int, Message]] = []
        for process in [*self.running]:
            if process.channel in ready:
                process.listen()
            heard += [(process.key, message) for message in process.messages]
            process.messages.clear()
            if process.stays or process.is_gone:
                heard += self._learnt(process)
                heard.append((process.key, process.ended()))
                self.running.remove(process)
                if process.stays:
                    self.idle.append(process)
                else:
                    process.close()
        return heard

    def _learnt(self, process: Process) -> list[tuple[int, Message]]:
        """What the end of the first run says of how many have room."""
        end = process.end or {}
        if not self.is_asking or end.get("state") != "finished" or end.get("taken") is None:
            return []
        self.is_asking = False
        taken, devices = Taken(*end["taken"]), len(self.gpus)
        self.slots = devices * runs_on_each(taken, devices, self.cores)
        return [(process.key, {"kind": "room", "said": told(taken, devices, self.cores)})]

    def stop(self) -> None:
        """Tell each point to leave its checkpoint and end."""
        for process in self.running:
            if process.pid:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGTERM)
            else:  # it will find its channel closed
                process.is_gone = True

    def kill(self) -> None:
        """End each point and the processes that it started, now."""
        self.stop()  # for those that have not started
        for process in self.running:
            self.cancel(process.key)

    def cancel(self, key: int) -> None:
        """End this point, and the processes that it started, now."""
        for process in self.running:
            if process.key == key and process.pid:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Let the fork server go, and whatever still runs with it."""
        for process in [*self.running, *self.idle]:
            process.close()
        self._drop_server()

    def _waiting(self, shared: str) -> Process | None:
        """A process that waits for such a job, and has not died meanwhile."""
        for process in [*self.idle] if shared else ():
            if process.kind == shared:
                self.idle.remove(process)
                if not wait_for([process.channel], 0):
                    return process
                process.close()  # it says nothing more unless it ends
        return None

    def _forked(self, shared: str) -> Process:
        """A new process in a slot that is free, or in that of one that waits for other jobs."""
        taken = {process.slot for process in self.running}
        waiting = {process.slot: process for process in self.idle}
        free = [number for number in range(self.slots) if number not in taken]
        slot = next((number for number in free if number not in waiting), free[0])
        if slot in waiting:
            self.idle.remove(waiting[slot])
            waiting[slot].close()
        ours, theirs = socket.socketpair()
        process = Process(slot, shared, ours)
        with theirs:
            self._request(theirs, process.printed)
        return process

    def _request(self, channel: socket.socket, printed: IO[bytes]) -> None:
        for _ in range(2):
            if self.server is None:
                self.server = _Server(self.modules)
            try:
                descriptors = [channel.fileno(), printed.fileno()]
                socket.send_fds(self.server.requests, [b"+"], descriptors)
                return
            except OSError:  # the server died: its points go on, the next ones need another
                self._drop_server()

    def _drop_server(self) -> None:
        if self.server is not None:
            self.server.requests.close()
            self.server.process.kill()  # it runs nothing itself, and may be importing still
            self.server.process.wait()
            self.server = None


class _Server:
    """A fork server that finds the modules that this process finds."""

    def __init__(self, modules: Sequence[str]) -> None:
        self.requests, theirs = socket.socketpair()
        program = (
            f"import sys; sys.path[:] = {[*dict.fromkeys(sys.path)]!r}; "
            "from gbench.sweep import fork_server; "
            f"fork_server.main({theirs.fileno()}, {list(modules)!r})"
        )
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-c", program],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the sweep alone
            )


def _is_small(config: Config) -> bool:
    """Whether the dataset says that it has few nodes."""
    data = config["data"]
    num_nodes: int | None = data.get("statistics", {}).get("num_nodes", data.get("num_nodes"))
    return num_nodes is not None and num_nodes <= SMALL


def visible_gpus() -> list[str]:
    """The devices that CUDA would number, without asking CUDA: it must not wake before a fork."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip() not in ("", "-1")]
    return [str(number) for number, _ in enumerate(Path("/dev").glob("nvidia[0-9]*"))]


def _modules(configs: Sequence[Config]) -> list[str]:
    """What of gbench these runs load by name, their loggers' mirrors included."""
    targets = {
        section["_target_"].rpartition(".")[0]
        for config in configs
        for section in config.values()
        if isinstance(section, dict) and "_target_" in section
    }
    loggers = {config["logger"]["_target_"].rpartition(".")[2] for config in configs}
    mirrors = sorted(f"gbench.mirror.{name}" for name in loggers)
    own = sorted(name for name in targets if name.startswith("gbench."))
    return [*own, *(name for name in mirrors if find_spec(name))]
