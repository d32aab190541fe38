"""What is between the shell and the verbs."""

import builtins
import gc
import os
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from gbench.__main__ import main
from gbench.cli.train import without_collections


def test_ctrl_c_while_gbench_is_imported_is_no_stack_trace(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    imported: Callable[..., Any] = builtins.__import__

    def interrupted(name: str, *rest: Any, **options: Any) -> Any:
        if name == "gbench.cli.main":
            raise KeyboardInterrupt
        return imported(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", interrupted)
    assert main() == 130
    assert capsys.readouterr().err == "gbench: interrupted\n"


@pytest.mark.skipif(sys.platform != "linux", reason="only torch for Linux brings libgomp")
@pytest.mark.parametrize(
    ("given", "spins"),
    [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "passive"}, "0")],
)
def test_threads_sleep_soon_unless_the_user_says_how_they_wait(
    given: dict[str, str], spins: str
) -> None:
    variables = {name: value for name, value in os.environ.items() if "OMP_" not in name}
    told = subprocess.run(
        [sys.executable, "-m", "gbench", "doctor"],
        env=variables | given | {"OMP_DISPLAY_ENV": "verbose"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert {*re.findall("GOMP_SPINCOUNT = '(.*)'", told.stderr)} == {spins}


def test_collections_begin_again_after_imports_that_fail() -> None:
    with pytest.raises(ImportError), without_collections():
        assert not gc.isenabled()
        raise ImportError
    assert gc.isenabled()
    gc.unfreeze()
