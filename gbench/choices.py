"""What can be chosen: the YAML files of each config group, packaged and in the user's own folders.

Reads files only; imports neither hydra nor torch, so that `gbench list` and completion are quick.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gbench.errors import UserError

GROUPS = (
    "model",
    "data",
    "transform",
    "encoding",
    "batching",
    "trainer",
    "logger",
    "experiment",
)
SEVERAL = ("transform", "encoding")  # groups of which a list may be chosen: encoding=[lappe,rwse]
PACKAGED = Path(__file__).parent / "conf"


def choices(group: str, config_dirs: Sequence[Path] = ()) -> dict[str, Path]:
    """The choices of a group, by name; one of the user's own takes the place of gbench's.

    Raises UserError when two folders of the user's have one of the same name.
    """
    found: dict[str, Path] = {}
    for root in (PACKAGED, *config_dirs):
        for path in (root / group).glob("*.yaml"):
            if path.stem in found and not is_packaged(found[path.stem]):
                raise UserError(
                    f"{path}: there is a {group} '{path.stem}' already, in {found[path.stem]}: "
                    "give yours another name"
                )
            found[path.stem] = path
    return dict(sorted(found.items()))


def is_packaged(path: Path) -> bool:
    """Whether a choice is gbench's."""
    return PACKAGED in path.parents


def members(choice: str) -> list[str]:
    """The choices that a word names: `[lappe, rwse]` two, `rwse` one."""
    if not (choice.startswith("[") and choice.endswith("]")):
        return [choice]
    return [name.strip().strip("'\"") for name in choice[1:-1].split(",")]


def takes_place(group: str, path: Path) -> bool:
    """Whether a choice of the user's own has the name of one of gbench's."""
    return not is_packaged(path) and (PACKAGED / group / path.name).exists()


def title(group: str, path: Path) -> str:
    """The name that a choice's results stand under: gbench's alone stand under `gin`."""
    return f"own-{path.stem}" if takes_place(group, path) else path.stem


def description(path: Path) -> str:
    """What a choice's YAML says of itself in its first comment, after Hydra's own header lines."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            if not line.startswith("# @"):
                return line.removeprefix("#").strip() if line.startswith("#") else ""
    return ""


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file as plain values, as OmegaConf would read it but without importing it."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        with path.open(encoding="utf-8") as file:
            loaded = yaml.load(file, Loader=loader) or {}
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} is not valid YAML: {reason}") from error
    if not isinstance(loaded, dict):
        raise UserError(f"{path} holds no settings: it has to be a mapping, key: value")
    return loaded


def stated(setting: str, found: Mapping[str, Path], name: str) -> Any:
    """What a choice's YAML says of a dotted setting, or else the choice that it builds on says.

    `found` are the choices of its group; None if nothing is said.
    """
    if name not in found:
        return None
    values = read_yaml(found[name])
    value: Any = values
    for key in setting.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    if value is not None:
        return value
    built_on = [entry for entry in values.get("defaults", ()) if isinstance(entry, str)]
    answers = (stated(setting, found, entry) for entry in built_on)
    return next((answer for answer in answers if answer is not None), None)


def default_choice(group: str) -> str:
    """What `conf/train.yaml` chooses when the command line does not."""
    for entry in read_yaml(PACKAGED / "train.yaml")["defaults"]:
        if isinstance(entry, dict) and group in entry:
            return str(entry[group])
    raise KeyError(group)
