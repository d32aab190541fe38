"""What does not fit, told of packages that are only pretended to be installed."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from gbench import requirements
from gbench.cli import doctor
from gbench.requirements import misfits

NEEDS = {
    "gbench": ["torch>=2.6", "lightning>=2.6", 'submitit>=1.5.4; extra == "slurm"'],
    "torch": ["triton==3.7.1; platform_system != 'none'", "sympy>=9; python_version < '3'"],
}


class Metadata:
    def get_all(self, key: str) -> list[str]:
        return ["slurm"]


def pretend(monkeypatch: pytest.MonkeyPatch, installed: Mapping[str, str]) -> None:
    def version(name: str) -> str:
        if name not in installed:
            raise PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(requirements, "version", version)
    monkeypatch.setattr(requirements, "requires", NEEDS.get)
    monkeypatch.setattr(requirements, "metadata", lambda package: Metadata())


@pytest.mark.parametrize(
    ("installed", "told"),
    [
        ({}, []),
        ({"torch": "2.13.0+cpu", "rich": "1.0", "submitit": "1.5.4"}, []),
        ({"lightning": "2.5.6"}, ["lightning 2.5.6: gbench needs >=2.6"]),
        ({"submitit": "1.5.0"}, ["submitit 1.5.0: gbench needs >=1.5.4"]),
        ({"triton": "3.6.0"}, ["triton 3.6.0: torch needs ==3.7.1"]),
        ({"torch": ""}, ["torch is missing: gbench needs it"]),
        ({"triton": ""}, ["triton is missing: torch needs it"]),
    ],
)
def test_what_does_not_fit_is_told(
    monkeypatch: pytest.MonkeyPatch, installed: dict[str, str], told: list[str]
) -> None:
    usual = {"torch": "2.13.0", "lightning": "2.6.0", "triton": "3.7.1"}
    pretend(monkeypatch, {key: value for key, value in (usual | installed).items() if value})
    assert misfits("gbench") + misfits("torch") == told


def test_the_doctor_says_it_and_does_not_call_that_healthy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = {"gbench": ["lightning 2.5.0: gbench needs >=2.6"], "torch": ["triton 3: torch"]}
    monkeypatch.setattr(requirements, "misfits", said.get)
    monkeypatch.setattr(doctor, "_kernels", lambda: "")
    assert doctor.run(None) == 1  # type: ignore[arg-type]
    told = re.findall(r"does not fit +(.*)", capsys.readouterr().out)
    assert told == [*said["gbench"], *said["torch"]]
    said["gbench"] = []
    assert doctor.run(None) == 0  # type: ignore[arg-type]


def test_the_packages_of_this_environment_fit() -> None:
    """Of what CI and `make test-matrix` run in; the bounds are pyproject.toml's."""
    assert misfits("gbench") == []


def test_a_package_has_one_bound() -> None:
    """In the extras and in the group of the tests alike."""
    text = (Path(__file__).parent.parent / "pyproject.toml").read_text()
    read = tomllib.loads(text)
    extras = read["project"]["optional-dependencies"].values()
    lines = [line.partition(";")[0] for extra in extras for line in extra]
    bounds = {line.partition(">")[0]: line for line in lines}
    for line in read["dependency-groups"]["test"]:
        assert bounds.get(line.partition(">")[0], line) == line
