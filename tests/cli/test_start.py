"""What is between the shell and the verbs."""

import builtins
import gc
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


def test_collections_begin_again_after_imports_that_fail() -> None:
    with pytest.raises(ImportError), without_collections():
        assert not gc.isenabled()
        raise ImportError
    assert gc.isenabled()
    gc.unfreeze()
