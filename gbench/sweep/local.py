"""The executor of this machine: each point a process, forked by the fork server."""

from __future__ import annotations

import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import IO

from gbench.config.compose import Config
from gbench.parallel import num_cores
from gbench.sweep.fork_server import RUN_POINT, Job, Message

PRINTED_LINES = 20  # of what a failed process printed last are kept

# On datasets of so many nodes in all, small graphs as PROTEINS or one as CS, a second thread makes
# a run 0.7 to 1.6 times as fast, and where another process wants the core 30 times as slow.
SMALL = 100_000
CORES_OF_LARGE = 4


@dataclass(eq=False)
class _Process:
    """A point's process, as seen from here."""

    key: int
    slot: int
    channel: socket.socket
    printed: IO[bytes]
    pid: int = 0  # 0 until it has started
    heard: bytes = b""  # the beginning of a line
    messages: list[Message] = field(default_factory=list)
    end: Message | None = None
    exit_code: int | None = None
    over: bool = False


class Local:
    """Processes of this machine, each with its own GPU or its share of the cores."""

    def __init__(self, configs: Sequence[Config], jobs: int | None, runs: str = RUN_POINT) -> None:
        self.runs = runs
        on_cpu = all(config["trainer"]["accelerator"] == "cpu" for config in configs)
        shared = any(config["trainer"]["devices"] not in (1, "auto") for config in configs)
        self.gpus = [] if on_cpu else visible_gpus()
        cores = num_cores()
        each = 1 if all(map(_is_small, configs)) else CORES_OF_LARGE
        self.slots = jobs or (1 if shared else len(self.gpus) or max(1, cores // each))
        if shared:  # a run on several devices chooses them itself
            self.gpus = []
        given = os.environ.get("OMP_NUM_THREADS", "")
        self.threads = int(given) if given.isdecimal() else max(1, cores // self.slots)
        self.modules = _modules(configs)
        self.running: list[_Process] = []
        self.server: _Server | None = None

    def start(self, key: int, config: Config, folder: Path) -> None:
        """Ask the fork server for a process and send it its job."""
        taken = {process.slot for process in self.running}
        slot = next(number for number in range(self.slots) if number not in taken)
        device = self.gpus[slot % len(self.gpus)] if self.gpus else None
        ours, theirs = socket.socketpair()
        process = _Process(key, slot, ours, tempfile.TemporaryFile())  # noqa: SIM115
        self.running.append(process)
        with theirs:
            self._request(theirs, process.printed)
        job = Job(config, folder, self.threads, device, self.runs)
        with suppress(OSError):  # it is gone already, which `wait` will see
            ours.sendall(pickle.dumps(job))

    def wait(self, seconds: float) -> list[tuple[int, Message]]:
        """What was heard of the points, after at most so long."""
        ready = wait_for([process.channel for process in self.running], seconds)
        heard: list[tuple[int, Message]] = []
        for process in [*self.running]:
            if process.channel in ready:
                _listen(process)
            heard += [(process.key, message) for message in process.messages]
            process.messages.clear()
            if process.over:
                heard.append((process.key, _end(process)))
                process.channel.close()
                process.printed.close()
                self.running.remove(process)
        return heard

    def stop(self) -> None:
        """Tell each point to leave its checkpoint and end."""
        for process in self.running:
            if process.pid:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGTERM)
            else:  # it will find its channel closed
                process.over = True

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
        for process in self.running:
            process.channel.close()
            process.printed.close()
        self._drop_server()

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


def _listen(process: _Process) -> None:
    """Read what has come; the last, unfinished line waits."""
    try:
        text = process.channel.recv(1 << 16)
    except OSError:
        text = b""
    process.over |= not text
    *lines, process.heard = (process.heard + text).split(b"\n")
    for line in lines:
        try:
            message = json.loads(line) if line else {}
        except ValueError:  # cut by the death of its writer
            continue
        match message.get("kind"):
            case "started":
                process.pid = message["pid"]
                process.messages.append(message)
            case "exit":
                process.exit_code, process.over = message["code"], True
            case "end":
                process.end = message
            case "progress":
                process.messages.append(message)


def _end(process: _Process) -> Message:
    """How it ended, as it said itself or as its death tells."""
    if process.end is not None:
        message = process.end
    elif not process.pid:
        message = {"kind": "end", "state": "lost"}
    else:
        error = _cause_of_death(process.exit_code)
        message = {"kind": "end", "state": "failed", "error": error, "again": True}
    if message["state"] == "failed":
        process.printed.seek(0)
        lines = process.printed.read().decode(errors="replace").splitlines()
        message["printed"] = "\n".join(lines[-PRINTED_LINES:])
    return message


def _cause_of_death(code: int | None) -> str:
    if code is None:
        return "its process died"
    if code >= 0:
        return f"its process ended with exit code {code}"
    name = signal.Signals(-code).name
    hint = ": was the memory full?" if -code == signal.SIGKILL else ""
    return f"its process was ended by {name}{hint}"
