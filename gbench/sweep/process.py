"""A process that does jobs, as seen from the sweep that asked for it."""

from __future__ import annotations

import json
import os
import pickle
import signal
import socket
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO

from gbench.sweep.job import Job, Message

PRINTED_LINES = 20  # of what a failed process printed last are kept


def _file() -> IO[bytes]:
    return tempfile.TemporaryFile()


@dataclass(eq=False)
class Process:
    """A process of this machine, one job of it at a time."""

    slot: int
    kind: str  # of the jobs that it does one after another; "": of one
    channel: socket.socket
    printed: IO[bytes] = field(default_factory=_file)
    pid: int = 0  # 0 until it is there
    heard: bytes = b""  # the beginning of a line
    key: int = -1  # of its job
    has_started: bool = False  # with it
    messages: list[Message] = field(default_factory=list)
    end: Message | None = None
    exit_code: int | None = None
    is_gone: bool = False

    def give(self, key: int, job: Job) -> None:
        """Let it do this one."""
        self.key, self.has_started, self.end = key, False, None
        os.ftruncate(self.printed.fileno(), 0)
        os.lseek(self.printed.fileno(), 0, os.SEEK_SET)  # of the process too: it is one file
        with suppress(OSError):  # it is gone already, which `listen` will see
            self.channel.sendall(pickle.dumps(job))

    def listen(self) -> None:
        """Read what has come; the last, unfinished line waits."""
        try:
            text = self.channel.recv(1 << 16)
        except OSError:
            text = b""
        self.is_gone |= not text
        *lines, self.heard = (self.heard + text).split(b"\n")
        for line in lines:
            try:
                message = json.loads(line) if line else {}
            except ValueError:  # cut by the death of its writer
                continue
            match message.get("kind"):
                case "forked":
                    self.pid = message["pid"]
                case "started":
                    self.has_started = True
                    self.messages.append(message)
                case "exit":
                    self.exit_code, self.is_gone = message["code"], True
                case "end":
                    self.end = message
                case "progress":
                    self.messages.append(message)

    @property
    def stays(self) -> bool:
        """Whether it has done its job and waits for another."""
        return not self.is_gone and self.end is not None and self.end.get("stays", False)

    def ended(self) -> Message:
        """How its job ended, as it said itself or as its death tells."""
        if self.end is not None:
            message = {k: v for k, v in self.end.items() if k not in ("stays", "taken")}
        elif not self.has_started:
            message = {"kind": "end", "state": "lost"}
        else:
            error = _cause_of_death(self.exit_code)
            message = {"kind": "end", "state": "failed", "error": error, "again": True}
        if message["state"] == "failed":
            self.printed.seek(0)
            lines = self.printed.read().decode(errors="replace").splitlines()
            message["printed"] = "\n".join(lines[-PRINTED_LINES:])
        return message

    def close(self) -> None:
        """It has nothing more to say; one that waits ends by this."""
        self.channel.close()
        self.printed.close()


def _cause_of_death(code: int | None) -> str:
    if code is None:
        return "its process died"
    if code >= 0:
        return f"its process ended with exit code {code}"
    name = signal.Signals(-code).name
    hint = ": was the memory full?" if -code == signal.SIGKILL else ""
    return f"its process was ended by {name}{hint}"
