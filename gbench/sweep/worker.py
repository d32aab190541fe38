"""A process that the fork server has forked: it does one job, or several that may share it.

It hears its jobs through its channel, pickled, one after another, and says on it, as lines of JSON,
{"kind": "forked", "pid"}, of each job {"kind": "started", "pid"}, and then what point.py says. To
the "end" it adds "taken", the memory of its GPU (room.py), and "stays": whether it waits for
another job now, or ends. It ends too when the channel does, that is, when the process that asked
for it dies or has no more to do, and amid a job it is told to stop first.

What a job leaves behind is set back (surroundings.py); a process ends all the same after a job that
did not finish, where that left processes running, where memory has grown, and where the system does
not let it tell the peak of one job from that of those before.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import os
import pickle
import queue
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from gbench.sweep import ending
from gbench.sweep.job import Job, Message, carry_out

GRACE_SECONDS = 10.0  # from being told to stop until being killed, where nobody is left to decide
STOPPED_BY = (signal.SIGTERM, signal.SIGINT)
MOST_GROWTH = 256 << 20  # bytes of memory beyond what there was after the first job


def work(channel: socket.socket, printed: int) -> NoReturn:
    """Do the jobs that come, print to the file `printed`, and leave."""
    _settle(channel, printed)

    def send(message: Message) -> None:
        with suppress(OSError):  # nobody listens any more: `_Jobs` acts on it
            channel.sendall(json.dumps(message).encode() + b"\n")

    send({"kind": "forked", "pid": os.getpid()})
    jobs = _Jobs(channel)
    several: _Several | None = None
    while (job := jobs.next()) is not None:
        send({"kind": "started", "pid": os.getpid()})
        if job.shares:
            several = several or _Several()
            several.begin(job)
        message = carry_out(job, send)
        # told to stop from here on, it tells first what became of the job
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPED_BY)
        jobs.done()
        taken = _taken()
        stays = several is not None and message["state"] == "finished" and several.may_go_on()
        sys.stdout.flush()
        sys.stderr.flush()
        send({**message, "taken": taken, "stays": stays})
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPED_BY)
        if not stays:
            break
    ending.end()


def _taken() -> tuple[int, int] | None:
    """See room.py; None in a process that has not come to CUDA."""
    if "torch" not in sys.modules:
        return None
    from gbench.sweep.room import taken_here

    return taken_here()


class _Jobs:
    """The jobs as they come; stops the one under way when the channel ends."""

    def __init__(self, channel: socket.socket) -> None:
        self.waiting: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self.is_busy = self.is_over = False
        threading.Thread(target=self._listen, args=(channel,), daemon=True).start()

    def next(self) -> Job | None:
        """The next one, as soon as it is there; None where none will come."""
        job = self.waiting.get()
        self.is_busy = True  # before looking: whoever ends the channel later sees it
        return None if self.is_over else job

    def done(self) -> None:
        """The job that was taken is done."""
        self.is_busy = False

    def _listen(self, channel: socket.socket) -> None:
        # a sweep that dies before it has read all resets the connection
        with suppress(OSError, EOFError, pickle.UnpicklingError), channel.makefile("rb") as stream:
            while True:
                self.waiting.put(pickle.load(stream))
        self.is_over = True
        self.waiting.put(None)
        if self.is_busy:
            os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE_SECONDS)
        os.killpg(0, signal.SIGKILL)


class _Several:
    """Job after job in this process, each as if it were the first."""

    def __init__(self) -> None:
        from gbench.data import between_runs
        from gbench.sweep.surroundings import Surroundings

        between_runs.keep()
        self.before = Surroundings()
        self.first = 0  # bytes in memory after the first job

    def begin(self, job: Job) -> None:
        """The next one: whether it derives the same from the same data."""
        from gbench.data import between_runs
        from gbench.sweep.sharing import derived_from

        between_runs.begin(derived_from(job.config))

    def may_go_on(self) -> bool:
        """Set everything back; whether the next job may come."""
        from gbench.peak_memory import can_reset
        from gbench.sweep.surroundings import leaves_children

        self.before.set_back()
        gc.collect()  # trainers and tasks refer to each other
        held = resident()
        if not self.first:
            self.first = held
            gc.freeze()  # what the first job has imported stays
        grown = held - self.first > MOST_GROWTH
        return not grown and not leaves_children() and can_reset()


def resident() -> int:
    """Bytes of this process in memory, of those it shares with others too; 0 where none tells."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _settle(channel: socket.socket, printed: int) -> None:
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
