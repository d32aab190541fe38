"""Training steps on batches of graphs that are laid in frames: each frame's is captured once.

Batches differ in their sizes, and a captured step has one. A few frames (see data/padding.py) hold
nearly all batches; one that is larger than those drawn to choose the frames is trained on as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gbench.data.padding import Frame, Size, frame_sizes
from gbench.train.cuda_graph import NotCapturedError, Work
from gbench.train.sources import Graphs
from gbench.train.whole_step import changed, step

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

    from gbench.data.batch import Batch
    from gbench.train.capturing import Recorder
    from gbench.train.task import Task


class FramedSteps:
    """The steps of a task on many graphs; their losses are summed on the device.

    A frame's steps are captured once the first step of all is done, after which kernels are
    compiled, the optimizer has its moments and the model's answers are checked. Captured or not, a
    batch is trained on in its frame: what a run computes does not depend on where it is cut.
    Where a capture fails `failed` is told why, and may raise.
    """

    def __init__(
        self,
        task: Task,
        trainer: Trainer,
        record: Recorder,
        failed: Callable[[NotCapturedError], None],
    ) -> None:
        assert isinstance(task.source, Graphs)
        self.task, self.trainer, self.record, self.failed = task, trainer, record, failed
        store, ids = task.dataset.store, task.dataset.split.train
        nodes, entries = store.ranges[2:].index_select(1, ids.cpu())
        graphs = min(task.source.batch_size, ids.numel())
        self.sizes = frame_sizes(nodes, entries, graphs, store.longest or 0)
        self.frames: dict[Size, Frame] = {}
        self.works: dict[Size, Work] = {}
        self.is_captured = False
        self.loss_sum: Tensor | None = None  # as the first step's, which is never captured

    def run(self, batch: Batch) -> None:
        """Train on one more batch."""
        size = next((size for size in self.sizes if size.holds(batch)), None)
        if size is None:
            self._step(batch)
            return
        if size not in self.frames:
            self.frames[size] = Frame(size, batch)
        frame = self.frames[size]
        frame.lay(batch)
        if not self.task.has_begun or self.loss_sum is None:  # a run that goes on has begun
            self._step(frame.batch)
            return
        if size not in self.works:
            self.works[size] = self._work(frame)
        self.works[size]()

    def taken(self) -> Tensor:
        """The sum of what is shown of losses since the last time. Shapes: → () or (1 + T,)."""
        assert self.loss_sum is not None
        total = self.loss_sum.clone()
        self.loss_sum.zero_()
        return total

    def _work(self, frame: Frame) -> Work:
        work: Work = partial(self._step, frame.batch)
        assert self.loss_sum is not None
        try:
            work = self.record(work, [*changed(self.task, self.trainer), self.loss_sum])
            self.is_captured = True
        except NotCapturedError as error:
            self.failed(error)
        return work

    def _step(self, batch: Batch) -> None:
        # what a model derives from a batch it derives again in each step
        shown = step(self.task, self.trainer, replace(batch, memo={}))
        if self.loss_sum is None:
            self.loss_sum = torch.zeros_like(shown)
        self.loss_sum += shown
