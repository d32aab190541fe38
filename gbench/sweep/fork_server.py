"""A process that has imported everything and forks the processes that do the jobs.

Importing torch and Lightning takes four seconds, forking a process that has done so some 20 ms.
It never runs anything itself: no CUDA context and no OpenMP thread exists in it, neither of which
would survive a fork.

It is given, through the socket it was started with, one byte and two descriptors for each process:

* its channel, a stream socket, on which it hears of jobs and tells of them (worker.py); the server
  itself says there, after the process has ended, {"kind": "exit", "code"}, negative for a signal
* a file for what the process prints

The server goes when its socket ends. A server that dies takes no process with it.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import selectors
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress

from gbench.sweep.worker import work

# What a run imports on its way besides what `gbench.training` does: torch's optimizers and
# Lightning load these when they are first used.
PRELOADED = ("gbench.sweep.point", "torch.distributed")


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
                    work(channel, printed)
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
