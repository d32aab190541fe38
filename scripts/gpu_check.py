"""Check every kernel and model on a GPU, and time the kernels beside what users have today.

This script has not been run on a GPU yet. It needs a checkout, torch, triton and numpy; what needs
more is left out, and said (PyG, DGL and OGB are compared with where they are installed).

    python scripts/gpu_check.py                      all of it: minutes on a data centre's GPU
    python scripts/gpu_check.py --quick              nothing large
    python scripts/gpu_check.py --op gine_aggregate  or --op model, stream, device, large
    python scripts/gpu_check.py --json rows.jsonl    rows into a file and not to the screen
    timeout 540 python scripts/gpu_check.py          the table of what was reached by then
    python scripts/gpu_check.py --device cpu         in Triton's interpreter, tiny: right or not

Of each operation, on each workload: value and gradients against the definition in float64, the same
bits twice, then ours, each peer and a copy of as many bytes take turns. A call that waits for the
device is timed between events, any other is replayed from a CUDA graph. Each row is written as soon
as it is known, a line of JSON; the table comes last. What hangs is ended, and the
others go on. The exit code is 1 where something is wrong or was not reached.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gbench.bench.gpu.conductor import main

if __name__ == "__main__":
    sys.exit(main(__doc__ or "", Path(__file__).resolve()))
