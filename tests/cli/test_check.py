"""`gbench check` on models, encodings and loaders of a user: each fault is told by its contract."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .conftest import Command

MODELS = '''
import random

import torch
from torch import nn


class Good(nn.Module):
    """Means over in-neighbours and over each graph."""

    def __init__(self, spec, *, hidden_dim):
        super().__init__()
        self.level = spec.level
        self.own = nn.Linear(spec.num_features, hidden_dim)
        self.others = nn.Linear(spec.num_features, hidden_dim)
        self.head = nn.Linear(hidden_dim, spec.num_outputs)

    def hidden(self, batch):
        source, target = batch.edge_index
        sums = torch.zeros_like(batch.x).index_add(0, target, batch.x[source])
        degree = batch.graph.in_degree.clamp(min=1).unsqueeze(1).to(batch.x.dtype)
        return torch.tanh(self.own(batch.x) + self.others(sums / degree))

    def forward(self, batch):
        return self.read(batch, self.hidden(batch))

    def read(self, batch, x):
        if self.level == "graph":
            sums = x.new_zeros(batch.num_graphs, x.size(1)).index_add(0, batch.batch, x)
            x = sums / batch.node_ptr.diff().unsqueeze(1)
        return self.head(x)


class MixesTheBatch(Good):
    def forward(self, batch):
        x = self.hidden(batch)
        return self.read(batch, x - x.mean(0))


class CountsTheBatch(Good):
    def forward(self, batch):
        return self.read(batch, self.hidden(batch) / batch.num_graphs)


class ReadsOrder(Good):
    def forward(self, batch):
        place = torch.arange(batch.num_nodes) - batch.node_ptr[:-1].long()[batch.batch]
        return self.read(batch, self.hidden(batch) * (1 + 0.1 * place.unsqueeze(1)))


class KeepsLabels(Good):
    def __init__(self, spec, **settings):
        super().__init__(spec, **settings)
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, batch):
        if self.training:
            self.seen = batch.y.to(self.seen.dtype).mean().view(1)
        return self.read(batch, self.hidden(batch) + self.seen)


class ReadsLabels(Good):
    def forward(self, batch):
        answer = super().forward(batch)
        return answer + 0.1 * batch.y.to(answer.dtype).view(-1, 1)


class IsNoisy(Good):
    def forward(self, batch):
        x = self.hidden(batch)
        return self.read(batch, x + 0.1 * torch.rand_like(x))


class IsNoisyInPython(Good):
    def forward(self, batch):
        return self.read(batch, self.hidden(batch) * random.uniform(0.9, 1.1))


class ForgetsState(Good):
    def __init__(self, spec, **settings):
        super().__init__(spec, **settings)
        self.scale = torch.randn(spec.num_outputs)

    def forward(self, batch):
        answer = super().forward(batch)
        return answer * self.scale.to(answer.dtype)


class Detaches(Good):
    def forward(self, batch):
        x = self.hidden(batch)
        return self.read(batch, x * x.detach())


class DividesByDegree(Good):
    def forward(self, batch):
        return self.read(batch, self.hidden(batch) / batch.graph.in_degree.unsqueeze(1))


class WritesFeatures(Good):
    def forward(self, batch):
        batch.x.mul_(0.5)
        return super().forward(batch)


class WritesFeaturesInTraining(Good):
    def forward(self, batch):
        if self.training:
            batch.x.mul_(0.5)
        return super().forward(batch)


class BatchStatistics(Good):
    def __init__(self, spec, *, hidden_dim):
        super().__init__(spec, hidden_dim=hidden_dim)
        self.norm = nn.BatchNorm1d(hidden_dim, track_running_stats=False)

    def forward(self, batch):
        x = self.hidden(batch)
        return self.read(batch, self.norm(x) if len(x) > 1 else x)


class DropsInEvaluation(Good):
    def forward(self, batch):
        return self.read(batch, nn.functional.dropout(self.hidden(batch), 0.5))


class KeepsTheFirstBatch(Good):
    mean = None

    def forward(self, batch):
        if self.mean is None:
            self.mean = batch.x.detach().mean(0)
        return self.read(batch, self.hidden(batch) + self.mean.sum().to(batch.x.dtype))


class Usual(Good):
    def __init__(self, spec, *, hidden_dim):
        super().__init__(spec, hidden_dim=hidden_dim)
        self.norm = nn.BatchNorm1d(hidden_dim)
        self.drop = nn.Dropout(0.5)

    def forward(self, batch):
        return self.read(batch, self.drop(self.norm(self.hidden(batch))))


class OverflowsInBfloat16(Good):
    def forward(self, batch):
        x = self.hidden(batch)
        difference = (1000 + x.to(self.head(x).dtype)) - 1000
        return self.read(batch, difference.to(x.dtype))


class FailsOnOneNode(Good):
    def forward(self, batch):
        assert batch.num_nodes > 1, "no edges here"
        return super().forward(batch)


class OnPurpose(MixesTheBatch):
    contracts = {"batching": "contrasts the graphs of a batch"}


class SlipOfThePen(Good):
    contracts = {"batchng": "contrasts the graphs of a batch"}


class FailsWhenBuilt(Good):
    def __init__(self, spec, **settings):
        super().__init__(spec, **settings)
        self.weights = [1, 2][spec.num_outputs]


class Float32(Good):
    def forward(self, batch):
        return self.read(batch, self.hidden(batch) @ torch.eye(8))


class Layered(Good):
    """Whose steps forget the tanh."""

    def embed(self, batch):
        return batch.x

    def steps(self):
        return [self.step]

    def step(self, batch, x):
        return self.head(self.own(x[: batch.num_nodes]))
'''
BROKEN = {
    "MixesTheBatch": ("batching", r"their features"),
    "CountsTheBatch": ("batching", r"their number, size or order"),
    "ReadsOrder": ("node-order", r"in another order the answers change"),
    "ReadsLabels": ("labels", r"the answers in validation change"),
    "IsNoisy": ("repeatable", r"answered twice, differently"),
    "IsNoisyInPython": ("repeatable", r"answered twice, differently"),
    "ForgetsState": ("state", r"built anew with the saved state answers differently"),
    "Detaches": ("gradient", r"finite differences"),
    "DividesByDegree": ("answers", r"training loss|answers (nan|inf)"),
    "WritesFeatures": ("answers", r"batch\.x"),
    "WritesFeaturesInTraining": ("answers", r"in training .* writes into batch\.x"),
    "BatchStatistics": ("batching", r"their features"),
    "DropsInEvaluation": ("repeatable", r"answered twice, differently"),
    "KeepsTheFirstBatch": ("state", r"the saved state answers differently"),
    "OverflowsInBfloat16": ("bf16", r"% away from those in float32"),
    "FailsOnOneNode": ("answers", r"mymodels\.py, line \d+, in forward: AssertionError: no edges"),
}


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder with a YAML for each class, named as it, of graphs and `node-` of nodes."""
    folder = tmp_path_factory.mktemp("zoo")
    (folder / "model").mkdir()
    (folder / "mymodels.py").write_text(MODELS)
    for name in re.findall(r"^class (\w+)", MODELS, re.M):
        for level, file in (("graph", name), ("node", f"node-{name}")):
            (folder / "model" / f"{file}.yaml").write_text(
                "# @package _global_\nmodel:\n"
                f"  _target_: mymodels.{name}\n  levels: [{level}]\n  hidden_dim: 8\n"
            )
    return folder


def broken(text: str) -> set[str]:
    return set(re.findall(r"^  does not hold +(\S+)", text, re.M))


@pytest.mark.parametrize("name", ["Good", "node-Good", "Usual", "node-Usual", "Float32"])
def test_a_good_model_holds(name: str, mine: Path, gbench: Command) -> None:
    answer = gbench("check", f"model={name}", "--config-dir", str(mine), cwd=mine)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "all hold" in answer.stdout and not broken(answer.stdout)
    assert re.search(r"mymodels\.\w+ \(.*mymodels\.py, line \d+\)", answer.stdout)
    if name == "Float32":
        assert re.search("not applicable  gradient .*float32", answer.stdout)


@pytest.mark.parametrize("name", BROKEN)
def test_a_fault_is_told_by_its_contract_alone(name: str, mine: Path, gbench: Command) -> None:
    contract, says = BROKEN[name]
    answer = gbench("check", f"model={name}", "--config-dir", str(mine), cwd=mine)
    assert broken(answer.stdout) == {contract}, answer.stdout + answer.stderr
    assert answer.returncode == 1
    (line,) = [line for line in answer.stdout.splitlines() if line.startswith("  does not hold")]
    assert re.search(says, line)
    assert re.search(r"^ +so: ", answer.stdout, re.M)
    assert re.search(r"^ +look at: ", answer.stdout, re.M)


@pytest.mark.parametrize(
    ("name", "contract"),
    [
        ("node-MixesTheBatch", "batching"),
        ("node-CountsTheBatch", "batching"),
        ("node-KeepsLabels", "labels"),
        ("node-ReadsLabels", "labels"),
        ("node-Layered", "layer-wise"),
    ],
)
def test_faults_of_node_level_models(name: str, contract: str, mine: Path, gbench: Command) -> None:
    answer = gbench("check", f"model={name}", "--config-dir", str(mine), cwd=mine)
    assert broken(answer.stdout) == {contract}, answer.stdout + answer.stderr
    assert answer.returncode == 1


def test_what_a_model_breaks_on_purpose_is_told_and_no_fault(mine: Path, gbench: Command) -> None:
    answer = gbench("check", "model=OnPurpose", "--config-dir", str(mine), cwd=mine)
    assert re.search("exempt +batching +contrasts the graphs", answer.stdout)
    assert answer.returncode == 0


def test_an_exemption_from_what_is_no_contract_is_told(mine: Path, gbench: Command) -> None:
    answer = gbench("check", "model=SlipOfThePen", "--config-dir", str(mine), cwd=mine)
    assert answer.returncode == 2 and "did you mean 'batching'" in answer.stderr


def test_an_exception_while_a_model_is_built_is_told_with_its_line(
    mine: Path, gbench: Command
) -> None:
    answer = gbench("check", "model=FailsWhenBuilt", "--config-dir", str(mine), cwd=mine)
    (line,) = [i for i, text in enumerate(MODELS.splitlines(), 1) if "[1, 2][spec" in text]
    assert answer.returncode == 1
    assert f"mymodels.py, line {line}, in __init__: IndexError" in answer.stderr


def test_a_model_is_looked_at_on_some_of_a_dataset(mine: Path, gbench: Command) -> None:
    words = ("model=node-Good", "data=csbm", "data.num_nodes=200")
    answer = gbench("check", *words, "--config-dir", str(mine), cwd=mine)
    assert "on some of csbm" in answer.stdout
    assert answer.returncode == 0, answer.stdout
    answer = gbench("check", "model=gcn", "data=csl", "encoding=rwse", cwd=mine)
    assert answer.returncode == 0, answer.stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "model=NAME, data=NAME or encoding=NAME: which"),
        (("model=ginn",), "did you mean 'gin'"),
        (("encoding=none",), "names no function"),
        (("model=gcn", "model.hiden_dim=3"), "hidden_dim"),
    ],
)
def test_what_the_user_has_to_mend_is_exit_code_2(
    words: tuple[str, ...], says: str, tmp_path: Path, gbench: Command
) -> None:
    answer = gbench("check", *words, cwd=tmp_path)
    assert answer.returncode == 2 and says in answer.stderr
