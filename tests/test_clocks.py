"""No test depends on how fast the machine is: none measures time, none gives up after a time."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parent
CLOCKS = {f"time.{name}" for name in ("time", "monotonic", "perf_counter", "process_time")}
LIMITS = {"timeout", "timeout_s", "deadline"}


def clocks(source: str) -> Iterator[str]:
    """Where a clock is reckoned with or compared, and the arguments that are a limit."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.BinOp | ast.Compare):
            for part in ast.iter_child_nodes(node):
                if isinstance(part, ast.Call) and ast.unparse(part.func) in CLOCKS:
                    yield f"{node.lineno}: {ast.unparse(node)}"
        if not isinstance(node, ast.Call):
            continue
        for keyword in node.keywords:
            if keyword.arg in LIMITS and ast.unparse(keyword.value) != "None":
                yield f"{node.lineno}: {ast.unparse(keyword)}"
        if ast.unparse(node.func) == "process.wait" and node.args:
            yield f"{node.lineno}: {ast.unparse(node)}"


def test_no_test_reckons_with_a_clock() -> None:
    found = {
        str(path.relative_to(TESTS)): [*clocks(path.read_text(encoding="utf-8"))]
        for path in sorted(TESTS.rglob("*.py"))
    }
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_clocks_are_seen() -> None:
    source = "start = time.time()\nassert time.time() - start < 9\nrun(x, timeout=3, deadline=None)"
    found = ["2: time.time() - start", "3: timeout=3", "4: process.wait(20)"]
    assert sorted(clocks(f"{source}\nprocess.wait(20)")) == found
