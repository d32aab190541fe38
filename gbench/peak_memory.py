"""Peak memory of a run, phase by phase: reading the data, training, validation, test.

On a GPU it is what PyTorch allocated there. On the CPU it is the resident memory of this process:
Linux keeps its highest value and lets the process set that back to what is resident now, which is
done where a phase begins, after what the one before has freed is given back. Where the system
refuses, and on macOS, the peak of the whole process is all that there is.
"""

from __future__ import annotations

import math
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from gbench import heap

if TYPE_CHECKING:
    import torch

Phase = Literal["data", "training", "validation", "test"]

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class PeakMemory:
    """The phases of a run, each begun by name; one may be begun again and again.

    The device is the CPU until `place` names a GPU, whose memory counts from the beginning then.
    """

    def __init__(self) -> None:
        self._mib: dict[Phase, float] = {}
        self._phase: Phase = "data"
        self._gpu: torch.device | None = None
        self._is_told = can_reset()
        _reset_gpus()

    def place(self, device: torch.device) -> None:
        """Name the device whose memory counts."""
        if device.type == "cuda":
            self._gpu, self._is_told = device, True

    def begin(self, phase: Phase) -> None:
        """End the phase before and begin this one."""
        self._end()
        self._phase = phase

    def knows(self, phase: Phase) -> bool:
        """Whether the phase was begun and ended before."""
        return phase in self._mib

    def by_phase(self) -> dict[str, float]:
        """MiB of each phase, NaN where it cannot be told. Ends the last one.

        Short epochs begin a validation of their own the first time alone.
        """
        self._end()
        return {phase: self._mib.get(phase, math.nan) for phase in get_args(Phase)}

    def _end(self) -> None:
        peak = math.nan
        if self._gpu is not None:
            import torch

            peak = torch.cuda.max_memory_allocated(self._gpu) / 2**20
            torch.cuda.reset_peak_memory_stats(self._gpu)
        elif self._is_told:
            peak = resident_peak_mib()
            heap.give_back()
            self._is_told = can_reset()
        self._mib[self._phase] = max(peak, self._mib.get(self._phase, peak))


def whole(mib: Mapping[str, float]) -> float:
    """The highest of all phases, or that of the process where none is known."""
    known = [each for each in mib.values() if not math.isnan(each)]
    return max(known) if known else _process_peak_mib()


def can_reset() -> bool:
    """Set the highest resident memory back to what is resident now, if the system lets us."""
    try:
        RESET.write_text("5")
    except OSError:
        return False
    return True


def resident_peak_mib() -> float:
    """The highest resident memory since it was set back, in MiB. Linux."""
    return int(STATUS.read_text().partition("VmHWM:")[2].split()[0]) / 2**10


def _process_peak_mib() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def _reset_gpus() -> None:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        for number in range(torch.cuda.device_count()):
            torch.cuda.reset_peak_memory_stats(number)
