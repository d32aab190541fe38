#!/usr/bin/env bash
# submitit 1.5.4: a time limit written as Slurm writes it, "00:02:00", is submitted, and the job dies when told to save.
#
# slurm_time goes into the batch script as it is given, and sbatch takes hours, minutes and seconds as well as minutes;
# AutoExecutor checks the types of its own parameters and not of this one. The text is kept beside the job, and at the
# signal before the limit, or at a preemption, submitit multiplies it by 60 and then by 0.8: TypeError, and neither
# checkpoint() nor a requeue is reached. So a job runs well for hours and loses them. With slurm_time=2 it is asked for
# its checkpoint. The two programs of Slurm that are called stand in here as one-line scripts.
#
# Seen: 2 -> "checkpoint asked"; "00:02:00" -> "TypeError: can't multiply sequence by non-int of type 'float'".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet submitit==1.5.4
mkdir "$folder/bin"
printf '#!/bin/sh\necho Submitted batch job 1\n' | tee "$folder/bin/sbatch" "$folder/bin/srun" > "$folder/bin/scontrol"
chmod +x "$folder"/bin/*
cd "$folder"
cat > job.py <<'PY'
import time

import submitit


class Work:
    def __call__(self):
        print("working", flush=True)
        time.sleep(60)

    def checkpoint(self):
        print("checkpoint asked", flush=True)
        return submitit.helpers.DelayedSubmission(self)
PY
PATH="$folder/bin:$PATH" env/bin/python - <<'PY'
import os
import signal
import subprocess
import sys

import submitit

from job import Work

IN_A_JOB = {"SUBMITIT_EXECUTOR": "slurm", "SLURM_JOB_ID": "1", "SLURM_JOB_NODELIST": "localhost", "SLURM_PROCID": "0"}
IN_A_JOB |= {"SLURM_NTASKS": "1", "SLURM_JOB_NUM_NODES": "1", "SLURM_NODEID": "0", "SLURM_LOCALID": "0"}


def told_to_save(limit):
    executor = submitit.AutoExecutor(folder=f"log-{type(limit).__name__}", cluster="slurm")
    executor.update_parameters(slurm_time=limit)
    folder = executor.submit(Work()).paths.folder
    command = [sys.executable, "-u", "-m", "submitit.core._submit", folder]
    pipe = subprocess.PIPE
    job = subprocess.Popen(command, env=os.environ | IN_A_JOB, stdout=pipe, stderr=subprocess.STDOUT, text=True)
    said = ""
    while "working" not in said:
        said += job.stdout.readline()
    job.send_signal(signal.SIGUSR2)
    return said + job.communicate(timeout=60)[0]


minutes, text = told_to_save(2), told_to_save("00:02:00")
print(*(line for line in (minutes + text).splitlines() if "checkpoint asked" in line or "TypeError" in line), sep="\n")
assert "checkpoint asked" in minutes and "TypeError" not in minutes, "the behaviour has changed"
assert "TypeError" in text and "checkpoint asked" not in text, "the behaviour has changed"
PY
