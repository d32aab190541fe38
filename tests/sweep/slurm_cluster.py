"""A real Slurm of one node on this machine, without accounting."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd", "sbatch")
# Two partitions of the same node: a job in `high` sends those in `low` back to the queue.
SETTINGS = """
ClusterName=gbench
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld_port}
SlurmdPort={d_port}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmctldPidFile={folder}/ctld.pid
SlurmdPidFile={folder}/d.pid
SlurmctldLogFile={folder}/ctld.log
SlurmdLogFile={folder}/d.log
SlurmdSpoolDir={folder}/spool
StateSaveLocation={folder}/state
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
KillWait=5
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=1000 State=UNKNOWN
PartitionName=low Nodes={host} Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=high Nodes={host} MaxTime=INFINITE State=UP PriorityTier=10
"""


def missing() -> str:
    """What has to be installed for it; empty: nothing."""
    absent = [name for name in DAEMONS if shutil.which(name) is None]
    if absent:
        return f"needs Slurm ({', '.join(absent)}): apt-get install slurm-wlm munge"
    return "" if os.getuid() == 0 else "starts Slurm's daemons, which needs root"


@contextmanager
def running() -> Iterator[None]:
    """Slurm's commands reach it while the block runs."""
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))  # short: a socket's path has a limit
    host = socket.gethostname().partition(".")[0]
    for name in ("spool", "state"):
        (folder / name).mkdir()
    folder.chmod(0o755)
    (folder / "munge.key").write_bytes(os.urandom(1024))
    (folder / "munge.key").chmod(0o600)
    values = {"host": host, "folder": folder, "ctld_port": _free(), "d_port": _free()}
    (folder / "slurm.conf").write_text(SETTINGS.format(**values))
    os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
    munge = [
        f"--{part}={folder}/munge.{part.partition('-')[0]}"
        for part in ("key-file", "socket", "pid-file", "log-file", "seed-file")
    ]
    commands = (
        ["munged", "--foreground", "--force", *munge],
        ["slurmctld", "-D"],
        ["slurmd", "-D", "-N", host],
    )
    started: list[subprocess.Popen[bytes]] = []
    try:
        for command in commands:
            with (folder / "printed").open("ab") as printed:
                started.append(subprocess.Popen(command, stdout=printed, stderr=printed))
            if command[0] == "munged":
                wait_for((folder / "munge.socket").exists, *started)
            if command[0] == "slurmctld":
                wait_for(lambda: "low" in said("sinfo", "--noheader"), *started)
        wait_for(lambda: "idle" in said("sinfo", "--noheader"), *started)
        yield
    finally:
        for process in reversed(started):
            process.send_signal(signal.SIGTERM)
            process.wait()
        del os.environ["SLURM_CONF"]
        shutil.rmtree(folder, ignore_errors=True)


def said(*command: str) -> str:
    """What a command prints; nothing of one that fails."""
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


def jobs(*options: str) -> list[list[str]]:
    """Id, state and reason of each of gbench's jobs."""
    lines = said("squeue", "--noheader", "--name=gbench", "--format=%i|%T|%r", *options)
    return [line.split("|") for line in lines.splitlines()]


def begin_again() -> None:
    """Slurm lets a job that it has queued again wait for two minutes: not here."""
    for job_id, state, reason in jobs():
        if (state, reason) == ("PENDING", "BeginTime"):
            said("scontrol", "update", f"jobid={job_id}", "StartTime=now")


def wait_for(happened: Callable[[], object], *processes: subprocess.Popen[bytes]) -> None:
    """Until it is so, however slow the machine, while the processes live."""
    while not happened():
        assert all(process.poll() is None for process in processes), "a process has ended"
        time.sleep(0.1)


def _free() -> int:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        port: int = place.getsockname()[1]
        return port
