"""trainer.matmul holds while a run computes, and nothing of it is left behind."""

import json
from collections.abc import Iterator

import pytest
import torch

from gbench.cli.main import main
from gbench.errors import UserError
from gbench.train import matmul
from gbench.train.task import Task

RUN = ("model=mlp", "data=csbm", "trainer.max_epochs=2")
precision = torch.get_float32_matmul_precision


@pytest.fixture(autouse=True)
def outside() -> Iterator[None]:
    """Another precision than any run here asks for, which is there again afterwards."""
    before = precision()
    torch.set_float32_matmul_precision("medium")
    yield
    assert precision() == "medium"
    torch.set_float32_matmul_precision(before)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Under what the models answered, in training, validation and test."""
    found: set[str] = set()
    answer = Task.answer

    def noted(self, batch):
        found.add(precision())
        return answer(self, batch)

    monkeypatch.setattr(Task, "answer", noted)
    return found


@pytest.mark.parametrize(("words", "wanted"), [([], "highest"), (["trainer.matmul=high"], "high")])
def test_a_run_and_its_evaluation_compute_as_asked(words, wanted, run, seen, capsys) -> None:
    record, folder = run(*RUN, *words)
    assert record.config["trainer"]["matmul"] == wanted
    assert seen == {wanted}
    seen.clear()
    assert main(["eval", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["test"] == record.test
    assert seen == {wanted}


def test_a_run_from_before_the_setting_is_evaluated_as_it_was_trained(run, seen) -> None:
    config = {**run(*RUN)[0].config["trainer"]}
    del config["matmul"]
    with matmul.matmul_precision(config):
        assert precision() == "highest"


def test_a_run_that_fails_leaves_the_precision_as_it_was(run) -> None:
    # which of the two comes first is a matter of rounding
    with pytest.raises(UserError, match=r"loss became|answers nan"):
        run(*RUN, "trainer.matmul=high", "optim.optimizer=sgd", "optim.lr=1e30")
    assert precision() == "medium"


def test_code_that_sets_one_backend_alone_is_told_what_to_do_instead(monkeypatch) -> None:
    def mixed():
        raise RuntimeError("you have used mix of the legacy and new APIs")

    monkeypatch.setattr(torch, "get_float32_matmul_precision", mixed)
    with (
        pytest.raises(UserError, match=r"leave that out and say trainer\.matmul=high"),
        matmul.matmul_precision({"matmul": "high"}),
    ):
        raise AssertionError
