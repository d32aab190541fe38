"""Several batches for one step: what Lightning's accumulate_grad_batches says, in gbench's epochs.

Lightning's own windows end with its epoch, which is here a round of about a second, so that steps
would depend on the clock; and it divides by the full size where fewer batches are left.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Windows:
    """`size` consecutive batches share one step, down the mean of their gradients.

    With batches of b graphs that is the step of one batch of size · b. The last window of an epoch
    has the batches that are left, and its step goes down their mean.
    """

    size: int
    batches_per_epoch: int

    @property
    def steps_per_epoch(self) -> int:
        """The number of windows in an epoch."""
        return -(-self.batches_per_epoch // self.size)

    def begins(self, batch: int) -> bool:
        """Whether gradients are zeroed before a batch, counted from 0 within its epoch."""
        return batch % self.size == 0

    def ends(self, batch: int) -> bool:
        """Whether the optimizer steps after a batch."""
        return (batch + 1) % self.size == 0 or batch + 1 == self.batches_per_epoch

    def length(self, batch: int) -> int:
        """The number of batches in the window that a batch belongs to."""
        return min(self.size, self.batches_per_epoch - batch // self.size * self.size)
