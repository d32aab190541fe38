"""Features stored by their non-zeros are the features."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from gbench.contracts.contract import Contract, NotApplicableError
from gbench.contracts.models.subject import Subject
from gbench.data.batch import Batch


def check(subject: Subject) -> None:
    if not subject.is_node_level or subject.dataset.spec.node_categories is not None:
        raise NotApplicableError("only features of one graph are stored so")
    piece = subject.pieces[0]
    x = piece.graph.x.clone()
    generator = torch.Generator().manual_seed(5)
    x[torch.rand(x.shape, generator=generator) < 0.9] = 0
    x[0] = 1  # a row without zeros
    mostly_zeros = [piece._replace(graph=piece.graph._replace(x=x))]
    model = subject.model()
    dense = subject.batch(model, mostly_zeros, subject.dtype)
    kept = replace(dense, is_kept=True, memo={})
    if kept.sparse_x is None:
        raise NotApplicableError("its features are too few to be stored so")
    one, other = _answer_and_gradients(model, dense), _answer_and_gradients(model, kept)
    for (name, a), b in zip(one.items(), other.values(), strict=True):
        subject.same(a, b, f"{name} from sparse features is another")


def _answer_and_gradients(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
    answer = model(batch)
    weight = torch.linspace(-1, 1, answer.numel(), dtype=answer.dtype).view_as(answer)
    learned = [(name, value) for name, value in model.named_parameters() if value.requires_grad]
    names, values = zip(*learned, strict=True)
    gradients = torch.autograd.grad((answer * weight).sum(), values, allow_unused=True)
    found = {f"the gradient of {n}": g for n, g in zip(names, gradients, strict=True)}
    return {"the answer": answer.detach()} | {n: g for n, g in found.items() if g is not None}


CONTRACT = Contract(
    "sparse",
    "features stored by their non-zeros give what dense ones give, and their gradients",
    "bags of words such as Cora's are trained on as something else",
    "what is done with batch.sparse_x before the first product",
    check,
    ("answers", "repeatable"),
)
