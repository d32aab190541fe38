"""The part of an exported script that brings the code of the user's own with it, as text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gbench.export.script_literal import literal
from gbench.own_code.kept import CODE, kept_file, setting, with_settings

Config = Mapping[str, Any]


def own_code(config: Config, folder: Path) -> list[str]:
    """Lines after which Python finds the modules that the run executed.

    Those of a run from before its code was kept are looked for where they were.
    """
    if "code" not in config:
        folders = config["config_dirs"]
        return ["", f"sys.path[:0] = {literal(folders)}"] if folders else []
    texts = {place: _text(folder / CODE / place) for place in config["code"].get("sources", {})}
    if not texts:
        return []
    if None in texts.values():  # a compiled module
        return ["", f"sys.path.insert(0, {literal(str((folder / CODE).absolute()))})"]
    return [
        "",
        "# the code of one's own that the run was trained with",
        "OWN_CODE = {",
        *(
            f"    {literal(place)}: {_quoted(text)},"
            for place, text in texts.items()
            if text is not None
        ),
        "}",
        "own_folder = tempfile.TemporaryDirectory()",
        "for place, text in OWN_CODE.items():",
        "    path = pathlib.Path(own_folder.name, place)",
        "    path.parent.mkdir(parents=True, exist_ok=True)",
        '    path.write_text(text, encoding="utf-8", newline="")',
        "sys.path.insert(0, own_folder.name)",
    ]


def standard_imports(config: Config) -> list[str]:
    """What these lines need of Python's own library."""
    if config.get("code", {}).get("sources"):
        return ["import pathlib", "import sys", "import tempfile"]
    return ["import sys"] if "code" not in config and config["config_dirs"] else []


def with_kept_files(config: Config, folder: Path) -> dict[str, Any]:
    """The config with the files that its settings name as the run's folder keeps them."""
    files = {
        key: str(kept_file(folder, setting(config, key), digest).absolute())
        for key, digest in config.get("code", {}).get("files", {}).items()
    }
    return with_settings(config, files)


def _text(path: Path) -> str | None:
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError:
        return None


def _quoted(text: str) -> str:
    """A literal of the text that reads like the file, where there is one."""
    for quote in ('"""', "'''"):
        ends_badly = text.endswith(("\\", quote[0]))
        if quote not in text and "\r" not in text and "\0" not in text and not ends_badly:
            return f"r{quote}{text}{quote}"
    return repr(text)
