"""bfloat16 where autocast wants it."""

from __future__ import annotations

import torch

from gbench.contracts.contract import BrokenError, Contract
from gbench.contracts.models.subject import Subject

NEAR = 0.1  # bfloat16 has 8 bits: 0.4 % in each product


def check(subject: Subject) -> None:
    task = subject.trained()
    exact = subject.answers(task.model, subject.pieces, torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        rough = subject.answers(task.model, subject.pieces, torch.float32).float()
        task.train()
        loss = task.training_step(subject.training_batch(task, subject.pieces), 0)
    loss.backward()
    if not bool(rough.isfinite().all()) or not bool(loss.isfinite()):
        raise BrokenError("answers or loss are not finite")
    for name, parameter in task.model.named_parameters():
        if parameter.grad is not None and not bool(parameter.grad.isfinite().all()):
            raise BrokenError(f"the gradient of {name} is not finite")
    error = ((rough - exact).norm() / exact.norm().clamp(min=1e-6)).item()
    if error > NEAR:
        raise BrokenError(f"answers are {100 * error:.0f} % away from those in float32")


CONTRACT = Contract(
    "bf16",
    f"with trainer.precision=bf16-mixed answers stay within {100 * NEAR:.0f} %",
    "trainer.precision=bf16-mixed trains another model, or none",
    "sums and exponentials that need float32: torch.autocast(..., enabled=False) around them",
    check,
    ("answers", "repeatable"),
)
