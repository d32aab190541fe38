"""A process that has imported everything and forks once for every point.

Importing torch and Lightning takes four seconds, forking a process that has done so some 20 ms.
It never runs anything itself: no CUDA context and no OpenMP thread exists in it, neither of which
would survive a fork.

It is given, through the socket it was started with, one byte and two descriptors for each point:

* the point's channel, a stream socket: the job arrives there, pickled, and messages go back as
  lines of JSON: {"kind": "started", "pid"}, those of point.py, and from the server itself, after
  the process has ended, {"kind": "exit", "code"}, negative for a signal
* a file for what the process prints

A point stops by itself when its channel ends, that is, when the process that asked for it dies;
the server goes when its socket ends. A server that dies takes no point with it.
"""

from __future__ import annotations

import faulthandler
import gc
import importlib
import importlib.util
import json
import os
import pickle
import selectors
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from gbench.config.compose import Config
from gbench.sweep import ending

Message = dict[str, Any]
Send = Callable[[Message], None]

RUN_POINT = "gbench.sweep.point.run_point"  # what a process calls, unless it is told another
GRACE_SECONDS = 10.0  # from being told to stop until being killed, where nobody is left to decide

# What a run imports on its way besides what `gbench.training` does: torch's optimizers and
# Lightning load these when they are first used.
PRELOADED = ("gbench.sweep.point", "torch._dynamo", "torch.distributed")


@dataclass(frozen=True)
class Job:
    """What a point's process is given."""

    config: Config
    folder: Path
    threads: int  # of torch, on the CPU; 0: as many as it takes by itself
    device: str | None  # CUDA_VISIBLE_DEVICES; None: as it is
    runs: str = RUN_POINT  # the function that the process calls


def main(descriptor: int, modules: Sequence[str]) -> None:
    """Import, then serve until the socket ends."""
    import numba

    from gbench.quiet import silence

    silence()
    for name in (*PRELOADED, *modules):
        with suppress(ImportError):  # the run that needs it will say so
            importlib.import_module(name)
    numba.njit(lambda: 0)()  # what it sets up at its first call takes 0.5 s
    gc.collect()
    gc.freeze()  # or a child's collections would copy the pages that it shares with the server
    serve(socket.socket(fileno=descriptor))


def serve(requests: socket.socket) -> None:
    """Fork for each request; tell on its channel how each process ended."""
    woken, waker = socket.socketpair()
    for end in (woken, waker):
        end.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    channels: dict[int, socket.socket] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(requests, selectors.EVENT_READ)
        selector.register(woken, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if woken in ready:
                woken.recv(4096)
                _reap(channels)
            if requests in ready:
                request, descriptors, _, _ = socket.recv_fds(requests, 1, 2)
                if not request:
                    signal.set_wakeup_fd(-1)  # a point that ends now wakes nobody
                    return
                channel, printed = socket.socket(fileno=descriptors[0]), descriptors[1]
                pid = os.fork()
                if pid == 0:
                    selector.close()
                    for other in (requests, woken, waker, *channels.values()):
                        other.close()
                    point_process(channel, printed)
                os.close(printed)
                channels[pid] = channel


def _reap(channels: dict[int, socket.socket]) -> None:
    while channels:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        with channels.pop(pid) as channel, suppress(OSError):
            code = os.waitstatus_to_exitcode(status)
            # a line of its own, even after one that the process died in
            channel.sendall(f"\n{json.dumps({'kind': 'exit', 'code': code})}\n".encode())


def point_process(channel: socket.socket, printed: int) -> NoReturn:
    """What a forked process does: train the one point, and leave."""
    channel.set_inheritable(False)
    os.setsid()  # a group of its own: Ctrl-C reaches the sweep, which tells its points
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for descriptor in (1, 2):
        os.dup2(printed, descriptor)
    os.close(printed)
    faulthandler.enable()

    def send(message: Message) -> None:
        with suppress(OSError):  # nobody listens any more: `_stop_when_alone` acts on it
            channel.sendall(json.dumps(message).encode() + b"\n")

    send({"kind": "started", "pid": os.getpid()})
    with channel.makefile("rb") as stream:
        try:
            job: Job = pickle.load(stream)
        except (OSError, EOFError, pickle.UnpicklingError):  # the sweep no longer wants this point
            os._exit(0)
    threading.Thread(target=_stop_when_alone, args=(channel,), daemon=True).start()
    send(carry_out(job, send))
    ending.end()


def carry_out(job: Job, send: Send) -> Message:
    """Do the job in this process, which does nothing else."""
    if job.device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = job.device
    if job.threads:
        import torch

        torch.set_num_threads(job.threads)
    # Lightning starts the other processes of a run on several devices with this command line
    sys.argv = ["gbench", "resume", str(job.folder.absolute())]
    sys.modules["__main__"].__spec__ = importlib.util.find_spec("gbench.__main__")
    module, _, name = job.runs.rpartition(".")
    message: Message = getattr(importlib.import_module(module), name)(job.config, job.folder, send)
    return message


def _stop_when_alone(channel: socket.socket) -> None:
    with suppress(OSError):  # a sweep that dies before it has read all resets the connection
        while channel.recv(1):
            pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os.killpg(0, signal.SIGKILL)
