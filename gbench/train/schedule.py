"""The learning rate of each epoch and step, as a function of the curve before it alone.

Nothing is remembered between epochs, so that a resumed run goes on at the rate it would have had.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

from gbench.errors import UserError
from gbench.locate import locate
from gbench.schedules import SCHEDULES
from gbench.train.rule import Rule

Rows = Sequence[Mapping[str, float]]

# of a plateau, by the direction of the metric
_NO_PROGRESS = {
    "max": {"valid_loss": math.inf, "valid": -math.inf},
    "min": {"valid_loss": math.inf, "valid": math.inf},
}
_FACTS = ("epoch", "max_epochs", "step", "max_steps", "steps_per_epoch", "curve", "direction")
_NO_FACTS = ("schedule", "schedule_options", "options", "groups", "optimizer")  # of `optim`


@dataclass(frozen=True)
class Schedule:
    """`optim.schedule`, one of gbench/schedules.py or the user's own, after a warm-up if any.

    Over the W steps of a warm-up the rate is lr / W, 2 lr / W, ..., lr, as torch's LinearLR. Then
    the schedule begins: one that asks for the step with the next step, others with the next epoch,
    up to which the rate is what they begin with.
    """

    rule: Rule
    optim: Mapping[str, Any]
    max_epochs: int
    direction: str

    @staticmethod
    def from_config(optim: Mapping[str, Any], max_epochs: int, direction: str) -> Schedule:
        """The schedule that the config's `optim` describes; `direction` is of the metric.

        Raises UserError for a function that cannot be found or asks for what there is not.
        """
        name, options = optim["schedule"], optim["schedule_options"]
        function = locate(name, "optim.schedule") if "." in name else SCHEDULES[name]
        facts = dict.fromkeys((*_FACTS, *(key for key in optim if key not in _NO_FACTS)))
        rule = Rule.of(f"optim.schedule={name}", function, facts, options, "optim.schedule_options")
        return Schedule(rule, optim, max_epochs, direction)

    @property
    def lr(self) -> float:
        """The rate that factors are of."""
        return float(self.optim["lr"])

    @property
    def reads_loss(self) -> bool:
        """Whether rows need a `valid_loss`."""
        on_metric = self._is_plateau and self.optim["plateau_on"] == "metric"
        return "curve" in self.rule.asks and not on_metric

    def rate(self, curve: Rows, step: int = 0, steps_per_epoch: int = 1) -> float:
        """The learning rate of a step, counted from 0, of the epoch after those of the curve."""
        warm = self.warmup(steps_per_epoch)
        now = len(curve) * steps_per_epoch + step
        if now < warm:
            return self.lr * ((now + 1) / warm)
        if not self.rule.asks:  # a constant rate, in each step
            return self.lr * self._factor({}, len(curve))
        epochs = math.ceil(warm / steps_per_epoch)  # that the warm-up had a part of
        facts = {
            **self.optim,
            "epoch": max(0, len(curve) - epochs),
            "max_epochs": max(1, self.max_epochs - epochs),
            "step": now - warm,
            "max_steps": self.max_epochs * steps_per_epoch - warm,
            "steps_per_epoch": steps_per_epoch,
            "curve": curve[epochs:] if epochs else curve,
            "direction": self.direction,
        }
        return self.lr * self._factor(facts, len(curve))

    def ahead(self, curve: Rows, most: int, steps_per_epoch: int = 1) -> list[float]:
        """The rates of the next epochs' first steps, `most` or as many as the curve fixes.

        A plateau keeps its rate while there is patience left, whatever these epochs measure: as
        long as it would if none of them made progress. A function of one's own may read anything.
        """
        rates = [self.rate(curve, 0, steps_per_epoch)]
        if "curve" in self.rule.asks and not self._is_plateau:
            return rates
        warm = self.warmup(steps_per_epoch)
        rows = [*curve]
        while len(rates) < most:
            rows.append(_NO_PROGRESS[self.direction])
            rate = self.rate(rows, 0, steps_per_epoch)
            is_warm = len(rows) * steps_per_epoch <= warm
            if self._is_plateau and not is_warm and rate != rates[-1]:
                break
            rates.append(rate)
        return rates

    def changes_within(self, epoch: int, steps_per_epoch: int) -> bool:
        """Whether the steps of an epoch, counted from 0, may differ in their rates."""
        return "step" in self.rule.asks or epoch * steps_per_epoch < self.warmup(steps_per_epoch)

    def warmup(self, steps_per_epoch: int) -> int:
        """The number of steps in which the rate rises to `lr`."""
        epochs, steps = self.optim["warmup_epochs"], self.optim["warmup_steps"]
        return int(steps) or round(epochs * steps_per_epoch)

    def check_warmup(self, steps_per_epoch: int) -> None:
        """Raise UserError for a warm-up that no step would come after."""
        warm, steps = self.warmup(steps_per_epoch), self.max_epochs * steps_per_epoch
        if warm >= steps:
            raise UserError(
                f"a warm-up of {warm:,} steps takes the whole run, which has {steps:,} of them: "
                "set a lower optim.warmup_steps or warmup_epochs, or more trainer.max_epochs"
            )

    def is_over(self, curve: Rows, steps_per_epoch: int = 1) -> bool:
        """Whether a plateau has brought the rate below the least one."""
        if not self._is_plateau or len(curve) * steps_per_epoch < self.warmup(steps_per_epoch):
            return False
        return self.rate(curve, 0, steps_per_epoch) < float(self.optim["min_lr"])

    @property
    def _is_plateau(self) -> bool:
        return self.rule.function is SCHEDULES["plateau"]

    def _factor(self, facts: Mapping[str, Any], epoch: int) -> float:
        factor = self.rule(facts)
        if isinstance(factor, Real) and 0 <= float(factor) < math.inf:
            return float(factor)
        raise UserError(
            f"optim.schedule={self.optim['schedule']} answers {factor!r} for epoch {epoch + 1}: "
            "expected is a factor of optim.lr, a number that is at least 0"
        )
