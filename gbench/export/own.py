"""The code of the user's own that an exported script brings with it, as text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from gbench.export.literal import literal
from gbench.metrics import is_dotted
from gbench.own_code.kept import CODE, kept_file, setting, with_settings

Config = Mapping[str, Any]


class Kept(NamedTuple):
    """Where Python finds the modules that a run executed."""

    texts: str  # the files as a Python expression, by their places; empty if there are none
    folders: list[str]


def kept_code(config: Config, folder: Path) -> Kept:
    """The code of a run; of one from before its code was kept, where it was."""
    if "code" not in config:
        return Kept("", [*config["config_dirs"]])
    places = [*config["code"].get("sources", {})]
    if any(map(is_dotted, config["trainer"].get("also", ()))):
        places += config["code"].get("beside", {})
    texts = {place: _text(folder / CODE / place) for place in places}
    if None in texts.values():  # a compiled module
        return Kept("", [str((folder / CODE).absolute())])
    files = "".join(
        f"    {literal(place)}: {_quoted(text)},\n"
        for place, text in texts.items()
        if text is not None
    )
    return Kept(f"{{\n{files}}}" if files else "", [])


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
