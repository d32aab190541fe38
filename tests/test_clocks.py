"""No test depends on how fast the machine is: none reads a clock or gives up after a time."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parent
CLOCKS = {f"time.{name}" for name in ("time", "monotonic", "perf_counter", "process_time")}
LIMITS = {"timeout", "timeout_s", "deadline"}
ALLOWED = {
    "results/page/test_serve.py": "sets the moment at which a page is due, and waits for none",
}


def clocks(source: str) -> Iterator[str]:
    """The calls of a clock, and the arguments that are a limit."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        if ast.unparse(node.func) in CLOCKS:
            yield f"{node.lineno}: {ast.unparse(node.func)}()"
        for keyword in node.keywords:
            if keyword.arg in LIMITS and not _is_none(keyword.value):
                yield f"{node.lineno}: {keyword.arg}="


def _is_none(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None


def test_no_test_reads_a_clock() -> None:
    found = {}
    for path in sorted(TESTS.rglob("*.py")):
        if lines := [*clocks(path.read_text(encoding="utf-8"))]:
            found[str(path.relative_to(TESTS))] = lines
    assert {name: lines for name, lines in found.items() if name not in ALLOWED} == {}
    assert found.keys() == ALLOWED.keys(), "allowed without need"


def test_clocks_are_seen() -> None:
    assert [*clocks("import time\nstart = time.perf_counter()\nrun(x, timeout=3)")] == [
        "2: time.perf_counter()",
        "3: timeout=",
    ]
    assert [*clocks("deadline = f(timeout=None)")] == []
