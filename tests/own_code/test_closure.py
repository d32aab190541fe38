"""Which files a run's code is: found without executing any of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from gbench.errors import UserError
from gbench.own_code.closure import closure


def places(folder: Path, files: dict[str, str], target: str = "a.Model") -> set[str]:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return set(closure([target], [folder]).sources)


@pytest.mark.parametrize(
    ("text", "reached"),
    [
        ("import b", {"b.py"}),
        ("import b as c, p.q", {"b.py", "p/__init__.py", "p/q.py"}),
        ("from p import q", {"p/__init__.py", "p/q.py"}),
        ("from p import *", {"p/__init__.py", "p/q.py", "p/r.py"}),
        ("from p.q import thing", {"p/__init__.py", "p/q.py"}),
        ("from space.s import thing", {"space/s.py"}),
        ("def f():\n    if x:\n        from b import y", {"b.py"}),
        ("try:\n    import b\nexcept ImportError:\n    import p", {"b.py", "p/__init__.py"}),
        ("import importlib\nimportlib.import_module('b')", {"b.py"}),
        ("layers = {'b': 'p.q.Layer'}", {"p/__init__.py", "p/q.py"}),
        ("load(name='op', sources=['cpp/op.cpp'])", {"cpp/op.cpp"}),
        ("import torch, numpy, os.path, gbench.build", set()),
        ("import not_installed_anywhere", set()),
        ("this is no Python", set()),
        (f"names = ['{'x' * 300}.y', '.b', 'b.', '{'ä' * 150}.cpp', '/etc/x.c', '..p.q']", set()),
    ],
)
def test_what_an_import_reaches(text: str, reached: set[str], tmp_path: Path) -> None:
    files = {
        "a.py": text, "b.py": "", "p/__init__.py": "", "p/q.py": "", "p/r.py": "",
        "space/s.py": "", "cpp/op.cpp": "", "unrelated.py": "",
    }  # fmt: skip
    assert places(tmp_path, files) == {"a.py", *reached}


def test_relative_imports_and_what_the_reached_import_themselves(tmp_path: Path) -> None:
    files = {
        "p/__init__.py": "from .a import Model",
        "p/a.py": "from . import b\nfrom .sub.c import d",
        "p/b.py": "from .. import never\nimport top",
        "p/sub/__init__.py": "",
        "p/sub/c.py": "from ..e import x\nimport p.a",
        "p/e.py": "",
        "p/never.py": "",
        "top.py": "",
    }
    assert places(tmp_path, files, "p.Model") == set(files) - {"p/never.py"}


@pytest.mark.parametrize(
    "text",
    [
        "import importlib\ndef f(n): return importlib.import_module(f'parts.{n}')",
        "import sys\nsys.path.append('lib')\nimport d",
        "from importlib.util import spec_from_file_location\nspec_from_file_location('d', x)",
        "exec(open('lib/d.py').read())",
    ],
)
def test_where_an_import_is_computed_all_of_the_folder_counts(text: str, tmp_path: Path) -> None:
    files = {"a.py": text, "parts/c.py": "", "lib/d.py": "", "e.py": ""}
    passed = {
        ".venv/f.py": "", "env/pyvenv.cfg": "", "env/lib/g.py": "",
        "runs/cora-a-0123456789-s0/code/a.py": "", "runs/cora-a-0123456789-s0-f3/code/a.py": "",
    }  # fmt: skip
    assert places(tmp_path, files | passed) == set(files)


def test_the_first_folder_wins_and_a_package_before_a_mere_folder(tmp_path: Path) -> None:
    for name in ("one/a.py", "two/a.py", "one/b/readme.md", "two/b/__init__.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("import b" if name.endswith("a.py") else "")
    found = closure(["a.Model"], [tmp_path / "one", tmp_path / "two"]).sources
    assert found == {"a.py": tmp_path / "one/a.py", "b/__init__.py": tmp_path / "two/b/__init__.py"}


def test_a_package_on_pythons_path_is_read_and_an_installed_one_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside/developed.py").write_text("import torch_geometric.nn")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = closure(["beside.developed.Model", "torch_geometric.nn.models.GCN"], [])
    assert set(found.sources) == {"beside/developed.py"}
    assert found.installed == {"torch_geometric"}
    assert closure(["beside.developed.Model"], []).targets == set()


def test_a_module_named_like_one_of_pythons_own_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"statistics\.py has the name of a module of Python's own"):
        places(tmp_path, {"a.py": "import statistics", "statistics.py": ""})
    (tmp_path / "random.py").write_text("")  # that nothing of the run's own imports
    assert places(tmp_path, {"a.py": "import os", "statistics.py": ""}) == {"a.py"}
