"""What is captured as a CUDA graph, done on a device that runs nothing: does the host wait in it?

    python scripts/check_captured.py [MODEL ...]

prints {"gcn node": {"launches": 26, "waits": []}, ...}

Every packaged model on tiny data of a kind that it is for, if its runs are captured: the epoch of
one graph with its validation, or the step of a batch in a frame and what lays the batch there.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any
from unittest import mock

from count_launches import composed, small, task_of, trained
from fake_cuda import NOTES
from torch import Tensor

from gbench.choices import stated
from gbench.config.floors import networks
from gbench.data.padding import Frame
from gbench.train import capturing
from gbench.train.epochs import Epochs

DATA = {"node": "csbm", "graph": "csl"}  # the card alone: the data are tiny


class Noted:
    """What the last of the captured work started, and where it waited."""

    def __init__(self) -> None:
        self.launches, self.waits = 0, list[str]()

    def during(self, work: Callable[..., None]) -> Callable[..., None]:
        """The same work, whose launches and waits are kept."""

        def noted(*args: Any) -> None:
            NOTES.clear()
            work(*args)
            self.launches = NOTES.launches.total()
            self.waits += NOTES.waits
            NOTES.clear()

        return noted

    def record(self, work: Callable[[], None], changed: Sequence[Tensor]) -> Callable[[], None]:
        """In the place of a capture: the work's first time is its warm-up."""
        work()
        return self.during(work)


def captured_models(asked: Sequence[str]) -> Iterator[tuple[str, Noted]]:
    """Each model and level of which runs are captured, of all models or those asked for."""
    for level, data in DATA.items():
        for model in asked or networks():
            if level not in stated("model.levels", networks(), model):
                continue
            for is_rich in (False, True):
                words = [f"model={model}", f"data={data}", "experiment=null", "optim.batch_size=3"]
                task, config = task_of(composed(*words), partial(small, is_rich=is_rich))
                config["trainer"]["cuda_graphs"] = "auto"
                noted = Noted()
                lay = noted.during(Frame.lay)
                with (
                    mock.patch.object(capturing, "recorder", lambda device, n=noted: n.record),
                    mock.patch.object(Frame, "lay", lambda *args, lay=lay: lay(*args)),
                    mock.patch.object(Epochs, "on_train_epoch_end"),  # no checkpoint
                ):
                    trained(task, config, 100)
                if noted.launches:
                    yield f"{model} {level}{' rich' * is_rich}", noted


def main() -> None:
    """Print what was noted."""
    print(json.dumps({name: vars(noted) for name, noted in captured_models(sys.argv[1:])}))


if __name__ == "__main__":
    main()
