"""When a run ends before its last epoch: by a rule of a paper, or by one of the user's own.

Each is a function of the curve alone.

Nothing is remembered between epochs, so that a resumed run stops where an uninterrupted one would.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from gbench.errors import UserError
from gbench.locate import locate
from gbench.train.rule import Rule

_FACTS = ("curve", "best_epoch", "patience", "max_epochs")


@dataclass(frozen=True)
class Stopping:
    """Whether a run ends after epoch t, counted from 0, with `patience` P; never where P is 0.

    patience: P epochs came after the best one.
    window: t > P and loss(t) > mean of loss(t-P), ..., loss(t-1), as in Kipf's code of GCN.
    late-window: the same for t >= max_epochs // 2, as in PyG's citation benchmark and DAGNN's code;
    there may be fewer than P epochs before.
    my_module.my_rule: what this function says, also where P is 0. It asks by the names of its
    arguments for the curve, the best epoch (from 0, None before there is one), P or max_epochs.
    """

    rule: str
    patience: int
    max_epochs: int
    own: Rule | None = None

    @staticmethod
    def from_config(trainer: Mapping[str, Any]) -> Stopping:
        """The rule that the config's `trainer` describes.

        Raises UserError for a function that cannot be found or asks for what there is not.
        """
        name = trainer["stop"]
        own = None
        if "." in name:
            setting = f"trainer.stop={name}"
            own = Rule.of(setting, locate(name, "trainer.stop"), _FACTS, {})
        return Stopping(name, trainer["patience"], trainer["max_epochs"], own)

    @property
    def reads_loss(self) -> bool:
        """Whether rows need a `valid_loss`."""
        if self.own is not None:
            return "curve" in self.own.asks
        return self.patience > 0 and self.rule != "patience"

    def is_due(self, curve: Sequence[Mapping[str, float]], best_epoch: int | None) -> bool:
        """Whether the run is over after the epochs of the curve; none may be the best of them."""
        if len(curve) >= self.max_epochs:
            return True
        t = len(curve) - 1
        if self.own is not None and t >= 0:
            return self._own(self.own, curve, best_epoch)
        if self.patience == 0 or t < 0:
            return False
        if self.rule == "patience":
            return best_epoch is not None and t - best_epoch >= self.patience
        before = [row["valid_loss"] for row in curve[max(t - self.patience, 0) : t]]
        return t >= self._first and bool(before) and curve[t]["valid_loss"] > fmean(before)

    def sure(self, epochs: int, best_epoch: int | None) -> int:
        """How many epochs come after so many for certain, whatever is measured in them.

        0 after the last; at least 1 before, where the rule has not ended the run.
        """
        left = self.max_epochs - epochs
        if self.own is not None:
            return min(left, 1)
        if self.patience == 0:
            return left
        if self.rule == "patience":
            last = (epochs if best_epoch is None else best_epoch) + self.patience
        else:
            last = self._first
        return min(left, max(last + 1 - epochs, 1))

    @property
    def _first(self) -> int:
        """The first epoch that a rule about windows may end a run after."""
        return self.patience + 1 if self.rule == "window" else self.max_epochs // 2

    def _own(
        self, rule: Rule, curve: Sequence[Mapping[str, float]], best_epoch: int | None
    ) -> bool:
        facts = {
            "curve": curve,
            "best_epoch": best_epoch,
            "patience": self.patience,
            "max_epochs": self.max_epochs,
        }
        answer = rule(facts)
        if str(answer) not in ("True", "False"):  # also numpy's
            raise UserError(
                f"trainer.stop={self.rule} answers {answer!r} after epoch {len(curve)}: expected "
                "is True, which ends the run, or False"
            )
        return bool(answer)
