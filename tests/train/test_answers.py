"""Answers of a wrong shape, kind or value are refused before a step, with the model's class."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gbench.build import build_task
from gbench.config.compose import compose
from gbench.data.big.part import Pattern, batch_of
from gbench.errors import UserError
from gbench.fault import own_line
from gbench.kernels import spmm
from gbench.models.link_predictor import LinkPredictor
from gbench.train.layerwise import predict
from gbench.train.loader import TrainingBatches
from gbench.train.sources import Graphs, Parts
from gbench.train.task import Task

# what a mistaken model makes of the right answer (N, C), and what is said of it
WRONG: dict[str, tuple[Callable[[Tensor], object], str]] = {
    "squeezed": (lambda out: out[:, 0], r"shape \({n},\), where \({n}, {c}\) is wanted, a row per"),
    "twice as many": (lambda out: torch.cat([out, out], 1), r"shape \({n}, {2c}\), where"),
    "too few": (lambda out: out[:, :-1], r"shape \({n}, {c-1}\), where \({n}, {c}\)"),
    "more rows": (lambda out: torch.cat([out, out]), r"shape \({2n}, {c}\), where \({n}, {c}\)"),
    "fewer rows": (lambda out: out[1:], r"shape \({n-1}, {c}\), where"),
    "a third dimension": (lambda out: out.unsqueeze(-1), r"End its forward with .view\(-1, {c}\)"),
    "one number": (lambda out: out.mean(), r"shape \(\), where"),
    "a tuple": (lambda out: (out, out), r"answers with a tuple, where a tensor \({n}, {c}\)"),
    "a dict": (lambda out: {"logits": out}, r"answers with a dict, where a tensor"),
    "nothing": (lambda out: None, r"answers with a NoneType, where a tensor"),
    "classes": (lambda out: out.long(), r"answers in int64: logits and predictions are floating"),
    "complex": (lambda out: out + 0j, r"answers in complex64: logits"),
    "yes or no": (lambda out: out > 0, r"answers in bool: logits"),
}


class Mistaken(nn.Module):
    """Linear answers to the features, and then the mistake."""

    def __init__(self, columns: int, features: int, mistake: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.linear = nn.Linear(features, columns)
        self.mistake = mistake

    def forward(self, batch: Any) -> object:
        x = self.linear(batch.x.float())
        if len(batch.y) == batch.num_graphs:  # x is the same in all nodes of a csl graph
            x = x[batch.node_ptr[:-1].long()]
        return self.mistake(x)

    def embed(self, batch: Any) -> Tensor:
        return batch.x.float()

    def steps(self) -> list[Any]:
        return [lambda batch, x: self.mistake(self.linear(x[: batch.graph.num_rows]))]


def mistaken(task: Task, mistake: Callable[[Tensor], object]) -> Task:
    spec = task.dataset.spec
    task.model = Mistaken(spec.num_outputs, task.dataset.store.x.size(1), mistake)
    return task


@pytest.fixture(scope="module", params=["graph", "node", "part"])
def task(request: pytest.FixtureRequest) -> Task:
    node = ["model=gcn", "model.num_layers=1", "data=csbm", "data.num_nodes=60"]
    words = {
        "graph": ["model=gin", "data=csl"],
        "node": node,
        "part": [*node, "batching=neighbours", "batching.fan_outs=[2]"],
    }
    return build_task(compose(words[request.param]))


def first_batch(task: Task) -> Any:
    if isinstance(task.source, Parts):
        return batch_of(task.dataset.store, task.source.cutter.cut(torch.arange(6), 0))
    return next(task.source.evaluation(task.dataset, task.dataset.split.train, 16))


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_is_refused_in_training_and_in_evaluation(name: str, task: Task) -> None:
    mistake, message = WRONG[name]
    if name == "nothing" and isinstance(task.source, Parts):
        message = r"answers with a NoneType"
    mistaken(task, mistake)
    batch, columns = first_batch(task), task.dataset.spec.num_outputs
    sizes = {"{c}": columns, "{2c}": 2 * columns, "{c-1}": columns - 1}

    def expected(rows: int) -> str:
        text = message
        for key, value in {**sizes, "{n}": rows, "{2n}": 2 * rows, "{n-1}": rows - 1}.items():
            text = text.replace(key, str(value))
        return text

    of_part = isinstance(task.source, Parts)  # which is told of a layer, where its rows are wrong
    with pytest.raises(UserError, match=r"Mistaken in test_answers\.py answers") as caught:
        task.training_step(batch, 0)
    if not of_part:
        caught.match(expected(len(batch.y)))
    with pytest.raises(UserError, match=r"Mistaken in test_answers\.py answers") as caught:
        task.answers("valid")
    if not of_part:
        rows = len(task.dataset.split.valid) if len(batch.y) == batch.num_graphs else len(batch.y)
        caught.match(expected(rows))


def test_a_right_answer_is_let_through_and_trained_on(task: Task) -> None:
    mistaken(task, lambda out: out)
    loss = task.training_step(first_batch(task), 0)
    loss.backward()
    assert task.model.linear.weight.grad.abs().sum() > 0
    logits, y = task.answers("valid")
    assert logits.shape == (len(task.dataset.split.valid), task.dataset.spec.num_outputs)
    assert len(y) == len(logits)


@pytest.mark.parametrize("shape", [(7, 3), (5, 3), (6, 2), (6,)])
def test_embeddings_of_a_link_predictor_are_checked(shape: tuple[int, ...]) -> None:
    batch = type("B", (), {"pairs": torch.tensor([[0, 1]]), "num_nodes": 6})()
    model = LinkPredictor(lambda _: torch.ones(shape), hidden_dim=3, num_layers=2, dropout=0.0)
    with pytest.raises(UserError, match=r"\(6, 3\) is wanted, a row per node and predictor.hidden"):
        model(batch)


class Writing(Mistaken):
    def forward(self, batch: Any) -> object:
        batch.x.mul_(2)
        return super().forward(batch)


def test_features_that_every_epoch_reads_are_not_written_into() -> None:
    for words in (["model=gcn", "data=csbm", "data.num_nodes=60"], ["model=gin", "data=csl"]):
        task = build_task(compose(words))
        shape = task.dataset.spec.num_outputs, task.dataset.store.x.size(1)
        task.model = Writing(*shape, lambda out: out)
        given = task.dataset.store.x.clone()
        if words[1] == "data=csbm":
            with pytest.raises(UserError, match=r"Writing in .* changes batch.x in place"):
                task.training_step(first_batch(task), 0)
        else:  # a batch of graphs is a copy
            task.training_step(first_batch(task), 0)
            assert torch.equal(task.dataset.store.x, given)


def test_a_model_that_raises_stop_iteration_does_not_end_the_epoch(task: Task) -> None:
    mistaken(task, lambda out: next(iter([])))
    with pytest.raises(RuntimeError, match=r"Mistaken in .* raised StopIteration") as raised:
        task.training_step(first_batch(task), 0)
    cause = raised.value.__cause__
    assert cause and re.search(r"test_answers.py, line \d+, in <lambda>", own_line(cause))


def test_an_answer_without_a_gradient_is_refused(task: Task) -> None:
    mistaken(task, lambda out: out.detach())
    with pytest.raises(UserError, match=r"Mistaken in test_answers.py .* without a gradient"):
        task.training_step(first_batch(task), 0)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_before_any_step_does_not_blame_the_learning_rate(
    value: float, task: Task
) -> None:
    mistaken(task, lambda out: out * value)
    task.has_begun = False
    with pytest.raises(UserError, match=r"nan in the first batch, before any step: Mistaken in"):
        task.training_step(first_batch(task), 0)
    mistaken(task, lambda out: out)
    batch = first_batch(task)
    if batch.x.is_floating_point():
        batch.x = batch.x.clone()
        batch.x[:, 0] = value
        task.has_begun = False
        with pytest.raises(UserError, match=r"before any step: the features hold values that are"):
            task.training_step(batch, 0)


def test_a_norm_over_one_row_says_what_to_change() -> None:
    task = build_task(compose(["model=gin", "data=csl", "optim.batch_size=1"]))
    single = next(task.source.evaluation(task.dataset, task.dataset.split.train, 1))
    for norm in (nn.BatchNorm1d(10), lambda out: nn.InstanceNorm1d(10)(out.T[None])[0].T):
        mistaken(task, norm)
        message = r"Mistaken in .* single row.*90 training graphs in batches of optim.batch_size=1"
        with pytest.raises(UserError, match=message):
            task.training_step(single, 0)


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_a_last_batch_that_leaves_a_device_one_graph_is_left_out(world_size: int) -> None:
    task = build_task(compose(["model=gin", "data=csl"]))
    number = len(task.dataset.split.train)

    def count(rest: int) -> int:
        """Batches in an epoch, with so many graphs left for the last one."""
        return TrainingBatches(
            task.dataset, Graphs(number - rest), seed=0, limit=0, rank=0,
            world_size=world_size, next_epoch=lambda: 0, max_epochs=1,
        ).batches_per_epoch  # fmt: skip

    assert [count(rest) for rest in range(2 * world_size)] == [1] * 2 * world_size
    assert count(2 * world_size) == 2


class Rooted(Mistaken):
    """Finite answers, with a gradient that is not."""

    def forward(self, batch: Any) -> object:
        x = self.linear(batch.x.float())
        return x + (x * 0).sqrt()  # the line that is told


def test_an_anomaly_is_told_with_the_line_that_it_comes_from() -> None:
    task = build_task(compose(["model=gcn", "data=csbm", "data.num_nodes=60"]))
    task.model = Rooted(2, task.dataset.store.x.size(1), lambda out: out)
    with torch.autograd.set_detect_anomaly(True):
        loss = task.training_step(first_batch(task), 0)
        message = (
            r"Rooted in test_answers.py, .*Sqrt.* nan .*test_answers.py.*the line that is told"
        )
        with pytest.raises(UserError, match=message):
            task.backward(loss)


class Twice(nn.Module):
    """One layer of shared weights, two times."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)

    def embed(self, batch: Any) -> Tensor:
        return batch.x.float()

    def steps(self) -> list[Any]:
        step = self.step
        return [step, step]

    def step(self, batch: Any, x: Tensor) -> Tensor:
        return self.linear(spmm(batch.graph, x)) / 10

    def forward(self, batch: Any) -> Tensor:
        return self.step(batch, self.step(batch, self.embed(batch)))


def test_a_layer_that_comes_twice_is_computed_for_all_nodes_first() -> None:
    task = build_task(compose(["model=gcn", "data=csbm", "data.num_nodes=60"]))
    store, ids = task.dataset.store, torch.arange(5, 20)
    model = Twice(store.x.size(1)).eval()
    pattern = Pattern(store)
    with torch.no_grad():
        parts = predict(model, store, pattern, ids, torch.device("cpu"))
        torch.testing.assert_close(parts, model(store.whole())[ids])
