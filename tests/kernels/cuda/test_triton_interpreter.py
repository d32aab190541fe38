"""The tests of test_triton_values.py without a GPU: in a process that interprets the kernels."""

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

pytestmark = pytest.mark.minutes
VALUES = Path(__file__).with_name("test_triton_values.py")
GROUPS = [
    "spmm",
    "gcn_propagate",
    "gcn_gated_sum",
    "teleport_propagate",
    "segment_reduce",
    "segment_add",
    "embedding_sum",
    "gine",
    "gcn_bond",
    "bonds",
    "directed_propagate",
]
GROUPS += [
    "dropout",
    "edge_softmax",
    "sheaf_laplacian",
    "inverse_sqrt",
    "norm_act",
    "under_autocast",
    "in_any_order",
    "inputs",
]
GROUPS += ["householder", "pair", "sheaf_mix", "sheaf_residual", "sheaf_step", "sheaf_blocks"]
GROUPS += ["residual_mlp", "group_mean", "pna", "ragged_attention", "gated", "activated_sum"]
GROUPS += ["act_dropout", "cross_entropy", "entry_loss", "gat_attention", "sparse_linear"]
GROUPS += ["gatv2_score"]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of each test its failure, "" for none. Triton reads the variable when it is imported."""
    pytest.importorskip("triton", reason="needs triton (pip install triton)")
    report = tmp_path_factory.mktemp("interpreter") / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(VALUES)]
    subprocess.run(
        [*command, f"--junitxml={report}"],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        check=False,
    )
    return {
        case.attrib["name"]: "".join(child.text or child.tag for child in case)
        for case in ElementTree.parse(report).iter("testcase")
    }


@pytest.mark.parametrize("group", GROUPS)
def test_interpreted(group: str, outcomes: dict[str, str]) -> None:
    mine = {name: text for name, text in outcomes.items() if name.startswith(f"test_{group}")}
    assert mine
    failures = [f"{name}\n{text}" for name, text in mine.items() if text]
    assert not failures, "\n\n".join(failures)


def test_every_interpreted_test_is_in_a_group(outcomes: dict[str, str]) -> None:
    groups = tuple(f"test_{group}" for group in GROUPS)
    assert [name for name in outcomes if not name.startswith(groups)] == []
