"""Each optimizer against a plain loop with torch's own; groups, options, and what is refused."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gbench.build import build_task
from gbench.cli.main import main
from gbench.config.compose import compose
from gbench.config.identity import identity
from gbench.errors import UserError
from gbench.fault import fault_of
from gbench.train.optimizer import has_penalty, make_optimizer, optimizer_class

OPTIM: dict[str, Any] = {
    "optimizer": "adam", "options": {}, "groups": [], "lr": 0.01, "momentum": 0.9, "rho": 0.5,
    "eta": 0.01, "weight_decay": 0.0, "decay_prefix": "", "decay_of_others": 0.0,
}  # fmt: skip
KINDS = {
    name.lower(): kind
    for name, kind in vars(torch.optim).items()
    if inspect.isclass(kind) and issubclass(kind, torch.optim.Optimizer)
}
REFUSED = {"optimizer", "lbfgs", "sparseadam"}


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4, bias=False), nn.Tanh(), nn.Linear(4, 1, bias=False))


def stepped(made: nn.Module, optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """The weights after three steps on the same numbers, with a closure as Lightning steps."""
    torch.manual_seed(1)
    x, y = torch.randn(20, 3), torch.randn(20, 1)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss: Tensor = (made(x) - y).square().mean()
        loss.backward()
        return loss

    for _ in range(3):
        optimizer.step(closure)  # type: ignore[arg-type]
    return [parameter.detach().clone() for parameter in made.parameters()]


@pytest.mark.parametrize("name", sorted(KINDS.keys() - REFUSED))
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_three_steps_of_each_optimizer_of_torch_are_its_own(name: str, decay: float) -> None:
    kind: Any = KINDS[name]
    arguments = {"lr": 0.01}
    if "weight_decay" in inspect.signature(kind).parameters:
        arguments["weight_decay"] = decay
    elif decay:
        with pytest.raises(UserError, match=f"optimizer={name} has no weight decay"):
            make_optimizer(model(), {**OPTIM, "optimizer": name, "weight_decay": 0.1}, fused=False)
        return
    ours, theirs = model(), model()
    optim = {**OPTIM, "optimizer": name, "weight_decay": decay}
    expected = stepped(theirs, kind(theirs.parameters(), **arguments))
    for weight, wanted in zip(
        stepped(ours, make_optimizer(ours, optim, fused=False)), expected, strict=True
    ):
        assert torch.equal(weight, wanted)
    assert not torch.equal(expected[0], next(model().parameters()))


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_adam_is_updated_in_one_pass_where_it_may_be(name: str) -> None:
    made = make_optimizer(model(), {**OPTIM, "optimizer": name}, fused=True)
    assert made.defaults["fused"] is True
    options = {"fused": False, "betas": [0.8, 0.99]}
    made = make_optimizer(model(), {**OPTIM, "optimizer": name, "options": options}, fused=True)
    assert (made.defaults["fused"], made.defaults["betas"]) == (False, (0.8, 0.99))


def test_options_reach_the_optimizer() -> None:
    optim = {**OPTIM, "optimizer": "sgd", "options": {"momentum": 0.9, "nesterov": True}}
    ours, theirs = model(), model()
    plain = torch.optim.SGD(theirs.parameters(), lr=0.01, momentum=0.9, nesterov=True)
    expected = stepped(theirs, plain)
    assert torch.equal(stepped(ours, make_optimizer(ours, optim, fused=True))[0], expected[0])


def test_the_first_pattern_that_fits_decides() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 1))
    groups = [
        {"match": "*.bias", "weight_decay": 0.0},
        {"match": "0.*", "lr": 0.5, "betas": [0.5, 0.9]},
        {"match": "[01].*", "weight_decay": 0.25},
    ]
    made = make_optimizer(net, {**OPTIM, "weight_decay": 0.1, "groups": groups}, fused=False)
    names = {parameter: name for name, parameter in net.named_parameters()}
    found = {
        names[parameter]: (group["lr"], group["weight_decay"], tuple(group["betas"]))
        for group in made.param_groups
        for parameter in group["params"]
    }
    usual = (0.9, 0.999)
    assert found == {
        "0.weight": (0.5, 0.1, (0.5, 0.9)),
        "1.weight": (0.01, 0.25, usual),
        "2.weight": (0.01, 0.1, usual),
        "0.bias": (0.01, 0.0, usual),
        "1.bias": (0.01, 0.0, usual),
        "2.bias": (0.01, 0.0, usual),
    }
    assert {group["initial_lr"] for group in made.param_groups} == {0.5, 0.01}


def test_a_prefix_is_a_short_form_of_groups() -> None:
    prefix = {"weight_decay": 0.1, "decay_prefix": "0.", "decay_of_others": 0.2}
    groups = {"weight_decay": 0.2, "groups": [{"match": "0.*", "weight_decay": 0.1}]}
    weights = []
    for optim in (prefix, groups):
        net = model()
        weights.append(stepped(net, make_optimizer(net, {**OPTIM, **optim}, fused=False)))
    assert all(torch.equal(one, other) for one, other in zip(*weights, strict=True))
    both = {**OPTIM, **prefix, "groups": [{"match": "0.*", "lr": 1.0}]}
    made = make_optimizer(model(), both, fused=False)
    assert [(g["lr"], g["weight_decay"]) for g in made.param_groups] == [(1.0, 0.1), (0.01, 0.2)]
    both["groups"] = [{"match": "*", "lr": 1.0}]
    made = make_optimizer(model(), both, fused=False)
    assert [(g["lr"], g["weight_decay"]) for g in made.param_groups] == [(1.0, 0.1), (1.0, 0.2)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizer": "sdg"}, r"unknown optimizer 'sdg': did you mean 'sgd'\?.*my_module.Lion"),
        ({"optimizer": "lbfgs"}, "optimizer=lbfgs computes the loss several times"),
        ({"optimizer": "torch.optim.LBFGS"}, "LBFGS computes the loss several times"),
        ({"optimizer": "sparseadam"}, "optimizer=sparseadam takes sparse gradients alone"),
        ({"optimizer": "no_such_module.Lion"}, "optim.optimizer: no_such_module.Lion cannot be"),
        ({"optimizer": "torch.nn.Linear"}, "is no class of torch.optim.Optimizer"),
        ({"options": {"lr": 1}}, "optim.options.lr: the place of lr is optim.lr"),
        ({"options": {"beta": 1}}, "unknown option of optim.optimizer=adam 'beta': .*'betas'"),
        ({"optimizer": "asam", "options": {"rho": 1}}, "asam takes optim.momentum, rho and eta"),
        ({"groups": [{"match": "*", "decay": 1}]}, "unknown setting in optim.groups .*'decay'"),
        ({"groups": [{"match": "2*", "lr": 1}, {"match": "1.*", "lr": 1}]},
         "match=1.. fits no parameter; they are 0.weight, 2.weight"),
        ({"groups": [{"match": "0.*", "lr": 1}, {"match": "0.weight", "lr": 2}]},
         "match=0.weight sets nothing: all parameters that it fits are in entries before it"),
        ({"options": {"betas": [2.0, 0.9]}}, "optim.optimizer=adam: Invalid beta"),
    ],
)  # fmt: skip
def test_what_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_optimizer(model(), {**OPTIM, **changes}, fused=False)


def test_decoupled_decay_is_no_penalty() -> None:
    options = {"adamw": {}, "nadam": {"decoupled_weight_decay": True}, "adam": {}, "sgd": {}}
    found = {
        name: has_penalty(
            make_optimizer(model(), {**OPTIM, "optimizer": name, "options": said}, fused=False)
        )
        for name, said in options.items()
    }
    assert found == {"adamw": False, "nadam": False, "adam": True, "sgd": True}


def test_the_command_line_takes_names_in_any_case_and_new_options() -> None:
    words = ["model=gcn", "data=csbm", "optim.optimizer=AdamW", "optim.options.eps=1e-6"]
    optim = compose(words)["optim"]
    assert (optim["optimizer"], optim["options"]) == ("adamw", {"eps": 1e-6})
    assert optimizer_class(optim) is torch.optim.AdamW
    groups = "optim.groups=[{match:layers.0.*,weight_decay:5e-4}]"
    (group,) = compose([*words[:2], groups])["optim"]["groups"]
    assert group == {"match": "layers.0.*", "weight_decay": 5e-4}


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("optim.momentum=0.5", r"asam alone: what sgd takes .* is optim.options.momentum=0.5"),
        ("optim.groups=[{lr:1}]", "needs a match, as in"),
        ("optim.groups=[{match:layers.*}]", "match=layers.. sets nothing"),
        ("optim.groups=[{match:layers.*,lr:-1}]", "match=layers.*: optim.lr=-1: allowed is"),
        ("optim.groups=layers", "expected a list"),
        ("optim.groups={match:layers.0.*}", "optim.groups is a list, without settings"),
        ("optim.options=[1]", "optim.options=.* expected a mapping"),
        ("optim.options=3", "expected a mapping"),
    ],
)
def test_what_composing_refuses(word: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        compose(["model=gcn", "data=csbm", "optim.optimizer=sgd", word])


def test_an_unread_setting_in_a_file_is_told_with_its_line(tmp_path: Path) -> None:
    head = "# @package _global_\noptim:\n"
    file = tmp_path / "model" / "gcn-sgd.yaml"
    file.parent.mkdir()
    base = "defaults: [gcn]\n"
    for text, line in (
        (
            "  optimizer: sgd\n  momentum: 0.5\n",
            "line 4: optim.momentum is of optim.optimizer=asam",
        ),
        (
            "  optimizer: sgd\n  momentum: 0.9\n",
            "line 4: optim.momentum is of optim.optimizer=asam",
        ),
        ("  groups: {match: a}\n", "line 3: optim.groups=.*: expected is a list"),
        ("  options: [momentum]\n", "line 3: optim.options=.*: expected is no list"),
        ("  lr: 0.1\ntrainer:\n  also: ece\n", "line 5: trainer.also=ece: expected names of met"),
        ("  lr: 0.1\ntrainer:\n  also: {a: 1}\n", "'model/gcn-sgd': a list stands where a group"),
        ("  schedule: cosine\n  lr_every: 3\n", "line 4: optim.lr_every has no effect with"),
        ("  optimizer: sgd\n  nesterov: true\n", "line 4: unknown setting 'optim.nesterov'"),
    ):
        file.write_text(f"{head}{text}{base}")
        with pytest.raises(UserError, match=line):
            compose(["model=gcn-sgd", "data=csbm"], [tmp_path])
    # a copy of the usual values, and what is read
    file.write_text(
        f"{head}  optimizer: sgd\n  momentum: 0.9\n  options: {{momentum: 0.5}}\n{base}"
    )
    optim = compose(["model=gcn-sgd", "data=csbm", "optim.options.momentum=0.7"], [tmp_path])[
        "optim"
    ]
    assert optim["options"] == {"momentum": 0.7}


def test_a_sweep_and_a_search_choose_among_optimizers_and_their_options(tmp_path: Path) -> None:
    from gbench.search.space import read_space
    from gbench.sweep.points import compose_all

    words = ["model=gcn", "data=csbm"]
    points = compose_all([*words, "optim.optimizer=adam,AdamW,sgd", "optim.schedule=step,cosine"])
    assert [(p["optim"]["optimizer"], p["optim"]["schedule"]) for p in points] == [
        (kind, rule) for kind in ("adam", "adamw", "sgd") for rule in ("step", "cosine")
    ]
    points = compose_all([*words, "optim.optimizer=sgd", "optim.options.momentum=0,0.5,0.9"])
    assert [p["optim"]["options"] for p in points] == [{"momentum": m} for m in (0, 0.5, 0.9)]
    assert len({identity(point) for point in points}) == 3
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "mine.yaml").write_text(
        "optim.options.momentum: {low: 0.5, high: 0.9}\noptim.schedule: [cosine, one-cycle]\n"
    )
    words.append("optim.optimizer=sgd")
    space = read_space(words, compose(words), "mine", [tmp_path])
    assert [each.key for each in space.dimensions] == ["optim.options.momentum", "optim.schedule"]


def test_an_argument_in_the_wrong_place_is_told_its_own() -> None:
    with pytest.raises(UserError, match=r"'optim.nesterov'.*: optim.options.nesterov=true$"):
        compose(["model=gcn", "data=csbm", "optim.optimizer=sgd", "optim.nesterov=true"])


def test_a_checkpoint_from_before_groups_had_rates_goes_on(
    run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    words = ("model=gcn", "data=csbm", "trainer.max_epochs=4", "optim.schedule=step")
    whole, folder = run(*words, "optim.lr_every=1")
    folder.rename(tmp_path / "whole")

    def without(*arguments: Any, **settings: Any) -> torch.optim.Optimizer:
        made = make_optimizer(*arguments, **settings)
        for group in made.param_groups:
            del group["initial_lr"]
        return made

    monkeypatch.setattr("gbench.train.optimization.make_optimizer", without)
    again, _ = run(*words, "optim.lr_every=1")
    assert (again.valid, again.test) == (whole.valid, whole.test)


def test_fused_steps_and_clipping_in_mixed_precision_are_refused_together(run: Any) -> None:
    words = ("model=gcn", "data=csbm", "trainer.max_epochs=1", "optim.optimizer=sgd")
    mixed = ("optim.options.fused=true", "trainer.precision=bf16-mixed")
    with pytest.raises(UserError, match="fused=true does not go with"):
        run(*words, *mixed, "trainer.gradient_clip_val=1.0")
    assert run(*words, *mixed)[0].epochs == 1


def test_the_objective_needs_a_penalty(run: Any) -> None:
    words = ("model=gcn", "data=csbm", "trainer.max_epochs=2", "trainer.monitor=objective")
    with pytest.raises(UserError, match="monitor=objective adds the penalty that weight decay"):
        run(*words, "optim.optimizer=adamw", "optim.weight_decay=0.1")
    groups = "optim.groups=[{match:layers.1.*,weight_decay:0.5}]"
    record, folder = run(*words, groups, "optim.weight_decay=0", "trainer.select=last")
    last = torch.load(folder / "best.ckpt", weights_only=True)["layers.1.linear.weight"]
    task = build_task(record.config)
    task.model.load_state_dict(torch.load(folder / "best.ckpt", weights_only=True))
    loss = torch.nn.functional.cross_entropy(*task.answers("valid")).item()
    logged = (folder / "metrics.csv").read_text().splitlines()
    column = logged[0].split(",").index("valid_loss")
    penalty = (0.5 / 2 * last.square().sum()).item()
    assert float(logged[-1].split(",")[column]) == pytest.approx(loss + penalty, rel=1e-5)
    assert penalty > 0.01


LION = """
import torch
class Lion(torch.optim.Optimizer):
    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0):
        super().__init__(params, dict(lr=lr, betas=betas, weight_decay=weight_decay))
    @torch.no_grad()
    def step(self, closure=None):
        with torch.enable_grad():
            loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                b1, b2 = group["betas"]
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.sub_(group["lr"] * (b1 * m + (1 - b1) * p.grad).sign())
                m.mul_(b2).add_(p.grad, alpha=1 - b2)
        return loss
"""


def test_an_optimizer_of_ones_own_trains_and_counts_in_the_identity(
    tmp_path: Path, run: Any
) -> None:
    (tmp_path / "own_lion.py").write_text(LION)
    words = ["model=gcn", "data=csbm", "trainer.max_epochs=2", "optim.optimizer=own_lion.Lion"]
    config = compose([*words, "optim.options.betas=[0.8,0.9]"], [tmp_path])
    assert [*config["code"]["sources"]] == ["own_lion.py"]
    assert optimizer_class(config["optim"]).__name__ == "Lion"
    record, folder = run(*words, dirs=[tmp_path])
    assert record.epochs == 2
    assert (folder / "code" / "own_lion.py").read_text() == LION
    with pytest.raises(UserError, match=r"unknown option of .*=own_lion.Lion 'beta'"):
        run(*words, "optim.options.beta=1", dirs=[tmp_path])
    before = identity(compose(words, [tmp_path]))
    (tmp_path / "own_lion.py").write_text(LION.replace("m.mul_(b2)", "m.mul_(b3)"))
    assert identity(compose(words, [tmp_path])) != before
    with pytest.raises(NameError) as told:
        run(*words, dirs=[tmp_path])
    assert "own_lion.py, line 16, in step: NameError" in fault_of(told.value).sentence


def test_a_step_without_a_closure_is_told_before_training(tmp_path: Path, run: Any) -> None:
    code = "import torch\nclass Own(torch.optim.SGD):\n    def step(self):\n        pass\n"
    (tmp_path / "own_step.py").write_text(code)
    with pytest.raises(UserError, match=r"own_step.Own: its step is called as step\(clos"):
        run("model=gcn", "data=csbm", "optim.optimizer=own_step.Own", dirs=[tmp_path])


def test_a_fault_outside_of_ones_own_code_names_the_optimizer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """torch raises it, for the options of a class that says nothing itself."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GBENCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "own_base.py").write_text("import torch\nclass Own(torch.optim.SGD):\n    x = 1\n")
    words = ["model=gcn", "data=csbm", "optim.optimizer=own_base.Own", "trainer.max_epochs=1"]
    options = ["optim.options.nesterov=true", "trainer=cpu"]
    assert main(["train", "--config-dir", ".", *words, *options]) != 0
    assert "in a run of own_base.Own (own_base.py, line 2)" in capsys.readouterr().err
