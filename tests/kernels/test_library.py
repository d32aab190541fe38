"""Calls on ordinary CPU tensors go past the dispatcher: whoever watches must see them still."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.profiler import profile

from gbench.kernels import CSR, spmm, torch_private
from gbench.kernels.library import _plain_place


def test_a_profiler_sees_the_operation(random_graph: CSR) -> None:
    x = torch.randn(40, 3, requires_grad=True)
    with profile() as seen:
        spmm(random_graph, x).sum().backward()
    names = {event.key for event in seen.key_averages()}
    assert {"gbench::spmm", "gbench::spmm_backward"} <= names


def test_numbers_in_a_tuple_are_no_reason_to_ask_the_dispatcher() -> None:
    x = torch.randn(3)
    assert _plain_place(((), x, (0.0, 0.5), (x, x))) == "cpu"
    assert _plain_place((x, (x, x.to("meta")))) is None


def test_fake_tensors_stay_fake(random_graph: CSR) -> None:
    with FakeTensorMode(allow_non_fake_inputs=True):
        x = torch.empty(40, 3, requires_grad=True)
        out = spmm(random_graph, x)
        (grad,) = torch.autograd.grad(out.sum(), x)
    assert isinstance(out, FakeTensor)
    assert isinstance(grad, FakeTensor)
    assert (out.shape, grad.shape) == ((40, 3), (40, 3))


def test_gradients_are_recorded_exactly_where_they_are_wanted(random_graph: CSR) -> None:
    x = torch.randn(40, 3)
    assert not spmm(random_graph, x).requires_grad
    assert spmm(random_graph, x.clone().requires_grad_()).requires_grad
    assert spmm(random_graph, torch.nn.Parameter(x)).requires_grad
    with torch.no_grad():
        assert not spmm(random_graph, torch.nn.Parameter(x)).requires_grad


WITHOUT = """
import sys, torch
from importlib.util import module_from_spec, spec_from_file_location
import pytest

names = {torch._C: "_is_any_autocast_enabled", torch.autograd.function: "_SingleLevelFunction"}
had = {owner: owner.__dict__.pop(name) for owner, name in names.items()}
spec = spec_from_file_location("gbench.kernels.torch_private", sys.argv[1])
found = sys.modules[spec.name] = module_from_spec(spec)
spec.loader.exec_module(found)  # before the package, which takes this one
for owner, name in names.items():
    setattr(owner, name, had[owner])
assert not found.SHORTCUTS
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "-p", "no:xdist", *sys.argv[2:]]))
"""


def test_without_torchs_private_names_operations_are_the_same() -> None:
    """Some tests once more, in a process where two of the names are missing at first."""
    here = Path(__file__).parent
    file = here.parents[1] / "kernels" / "torch_private.py"
    tests = [str(here / name) for name in ("test_every_kernel.py", "test_library.py")]
    some = "relabelled or only_the_gradients or second_derivative or stay_fake or recorded"
    command = [sys.executable, "-c", WITHOUT, str(file), *tests, "-k", some]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_module_counts_as_hooked_where_torch_does_not_tell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = [torch.nn.Linear(2, 2)]
    assert not torch_private.has_hooks(plain)
    monkeypatch.setattr(torch_private, "_hooks_of_all", None)
    assert torch_private.has_hooks(plain)
