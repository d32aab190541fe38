"""Empty patches do not matter."""

from __future__ import annotations

from gbench.contracts.contract import BrokenError, Contract, NotApplicableError
from gbench.contracts.models.subject import Subject


def check(subject: Subject) -> None:
    model = subject.model()
    if getattr(model, "patching", None) is None:
        raise NotApplicableError("it reads no patches")
    few = subject.batch(model, subject.pieces, subject.dtype)
    many = subject.batch(model, subject.pieces, subject.dtype, more_patches=3)
    before = subject.answers_to(model, few)
    try:
        after = subject.answers_to(model, many)
    except RuntimeError as error:
        raise BrokenError(f"it cannot answer with more patches ({error})") from error
    subject.same(before, after, "with more empty patches the answers change")


CONTRACT = Contract(
    "padding",
    "empty patches change nothing",
    "answers depend on how many patches a graph leaves empty, and so on the batch's largest graph",
    "means and attention over patches without batch.patches.mask",
    check,
    ("answers", "repeatable"),
)
