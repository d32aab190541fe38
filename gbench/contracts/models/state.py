"""The state dict is all that a model has learnt."""

from __future__ import annotations

import io

import torch

from gbench.contracts.contract import BrokenError, Contract
from gbench.contracts.models.subject import Subject, same_bits


def check(subject: Subject) -> None:
    task, anew = subject.trained(), subject.build(seed=1)
    file = io.BytesIO()
    torch.save(task.model.state_dict(), file)
    file.seek(0)
    try:
        anew.model.load_state_dict(torch.load(file, weights_only=True))
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise BrokenError(f"its state dict does not fit the model built anew: {reason}") from error
    before, after = (
        subject.answers(model, subject.pieces, torch.float32) for model in (task.model, anew.model)
    )
    same_bits(before, after, "a model built anew with the saved state answers differently,")
    for one in (task, anew):
        one.model.float()
    losses = [subject.train(one, subject.pieces, steps=1)[0] for one in (task, anew)]
    same_bits(losses[0], losses[1], "trained on from the saved state the loss is another,")


CONTRACT = Contract(
    "state",
    "saved, built anew and loaded it is the same model, to the last bit",
    "what is tested is not what was trained: the best weights, resume and gbench eval are loaded "
    "from a file",
    "tensors that are plain attributes (self.register_buffer keeps them), persistent=False, and "
    "random numbers drawn when the model is built",
    check,
    ("answers", "repeatable"),
)
