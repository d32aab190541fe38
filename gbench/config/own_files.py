"""The user's own YAML files of a run: what each has to be, and where in them a setting stands.

Hydra takes what a file says wherever its header puts it, so that a forgotten header loses the
settings without a word; this is told before it composes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gbench.choices import GROUPS, PACKAGED, choices, default_choice, members, read_yaml
from gbench.config.protocol import unread
from gbench.data.spec import check_stated
from gbench.errors import UserError, unknown

GLOBAL = "# @package _global_"
# of which other groups a file of a group may choose
CHOOSES = {
    "experiment": GROUPS,
    "model": ("transform", "encoding", "batching", "trainer"),
}


class OwnFile(NamedTuple):
    """A file of the user's, and the group that it is a choice of."""

    group: str
    path: Path

    @property
    def is_global(self) -> bool:
        """Whether it names each section that it sets, as its header says."""
        return _package(self.path) == "_global_"


def own_files(picks: Mapping[str, str], config_dirs: Sequence[Path]) -> list[OwnFile]:
    """The chosen files that are not gbench's, with those that they build on, each checked.

    `picks` are the choices that were named or that files make; others are the usual ones.

    Raises UserError for a file that is no YAML, that sets what nothing reads, or whose header does
    not fit what it says; the line is named.
    """
    if not config_dirs:
        return []
    found: dict[OwnFile, None] = {}
    usual = {group: default_choice(group) for group in GROUPS if group != "experiment"}
    waiting = [
        (group, name) for group, choice in {**usual, **picks}.items() for name in members(choice)
    ]
    while waiting:
        group, name = waiting.pop()
        path = choices(group, config_dirs).get(name) if group in GROUPS else None
        file = OwnFile(group, path) if path else None
        if file is None or file in found or PACKAGED in file.path.parents:
            continue
        found[file] = None
        _check(file)
        below = ((g, each) for g, choice in builds_on(file) for each in members(choice))
        for choice in below:
            if choice == (group, name):
                raise UserError(
                    f"{path} builds on {name}, which is itself here: give it another name than "
                    "gbench's, or say in it all that it sets"
                )
            if choice[1] not in choices(choice[0], config_dirs) and "$" not in choice[1]:
                asked = f"{choice[0]} in the defaults of {path}:"
                raise unknown(asked, choice[1], choices(choice[0], config_dirs))
            waiting.append(choice)
    return [*found]


def placed(error: UserError, files: Sequence[OwnFile], typed: Sequence[str]) -> UserError:
    """An error that begins with a setting, with the place in the files that stated it.

    One that was typed is known to the user.
    """
    key = re.match(r"([a-z_]\w*(\.\w+)*)(=|: )", str(error))
    place = "" if key is None or key[1] in typed else place_of(key[1], files)
    return UserError(f"{place}: {error}") if place else error


def place_of(key: str, files: Sequence[OwnFile]) -> str:
    """Where one of the files states a dotted setting, as `mine/model/gcn2.yaml, line 4`."""
    for file in files:
        wanted = key if file.is_global else key.removeprefix(f"{file.group}.")
        if not file.is_global and wanted == key:
            continue
        line = _line(file.path, wanted.split("."))
        if line:
            return f"{file.path}, line {line}"
    return ""


def check_chosen(
    section: Mapping[str, Any], group: str, names: Sequence[str], files: Sequence[OwnFile]
) -> None:
    """Raise UserError where a chosen file names no class or function, or lacks a fact of data.

    Of several choices each has a section below the group's.
    """
    for name in names:
        own = next((f.path for f in files if (f.group, f.path.stem) == (group, name)), None)
        if own is not None:
            _check_target(section if len(names) == 1 else section[name], group, name, own, files)


def _check_target(
    section: Mapping[str, Any], group: str, name: str, own: Path, files: Sequence[OwnFile]
) -> None:
    if "_target_" not in section and group in section:
        raise UserError(
            f"{own} begins with '{GLOBAL}', and in a list of {group}s each has its settings by "
            f"itself: leave out that line and the line '{group}:'"
        )
    if "_target_" not in section:
        what = "Class" if group in ("model", "batching") else "Function"
        below = f"{group}:\n    " if _package(own) == "_global_" else ""
        raise UserError(
            f"{own} does not say what it stands for: add\n  {below}_target_: my_module.My{what}"
        )
    target = section["_target_"]
    if not isinstance(target, str) or "." not in target.strip("."):
        place = place_of(f"{group}._target_", files) or own
        raise UserError(
            f"{place}: _target_ is {target!r}, and has to be a name as my_module.MyName"
        )
    if group == "data":
        try:
            check_stated(section)
        except UserError as error:
            raise UserError(f"{own}: {error}") from error


def _check(file: OwnFile) -> None:
    group, path = file
    values = {key: value for key, value in read_yaml(path).items() if key != "defaults"}
    usual = read_yaml(PACKAGED / "train.yaml")
    roots = [*dict.fromkeys((*(key for key in usual if key != "defaults"), *GROUPS))]
    package = _package(path)
    if package == "_global_":
        strange = [str(key) for key in values if key not in roots]
        if strange and not isinstance(values.get(group), dict) and group != "experiment":
            raise UserError(
                f"{path} begins with '{GLOBAL}', and so has to name the section that it sets: put "
                f"a line '{group}:' above {', '.join(strange)}, and indent them"
            )
        if strange:
            strange_one = unknown("setting", strange[0], roots)
            raise UserError(f"{path}, line {_line(path, strange[:1])}: {strange_one}")
        for section in ("optim", "predictor"):
            found = values.get(section)
            given: Mapping[str, Any] = found if isinstance(found, dict) else {}
            for key in given:
                error = unread(f"{section}.{key}", given, usual[section])
                if key not in usual[section]:
                    error = unknown("setting", f"{section}.{key}", _dotted(section, usual[section]))
                elif isinstance(usual[section][key], list) != isinstance(given[key], list):
                    wanted = "no list" if isinstance(given[key], list) else "a list"
                    error = UserError(f"{section}.{key}={given[key]}: expected is {wanted}")
                if error:
                    raise UserError(f"{path}, line {_line(path, [section, key])}: {error}")
        return
    if package not in ("", group):
        raise UserError(
            f"{path} begins with '# @package {package}', a place that gbench does not know: "
            f"'{GLOBAL}'"
        )
    sections = [key for key, value in values.items() if key in roots and isinstance(value, dict)]
    if (values and group == "experiment") or group in sections or "optim" in sections:
        named = ", ".join(f"{key}:" for key in (values if group == "experiment" else sections))
        raise UserError(f"{path} names {named} and so needs '{GLOBAL}' as its first line")


def builds_on(file: OwnFile) -> Iterator[tuple[str, str]]:
    """Group and name of each choice in the file's defaults list.

    Raises UserError for one that no such file can make.
    """
    for entry in read_yaml(file.path).get("defaults") or ():
        if isinstance(entry, str) and entry != "_self_":
            yield file.group, entry.rpartition("/")[2].removesuffix(".yaml")
        for word, name in entry.items() if isinstance(entry, dict) else ():
            group = str(word).replace("override", "").strip().strip("/")
            if group not in GROUPS:
                raise unknown(f"group in the defaults of {file.path}:", group, GROUPS)
            name = f"[{','.join(map(str, name))}]" if isinstance(name, list) else name
            if group != file.group and group not in CHOOSES.get(file.group, ()):
                raise UserError(
                    f"{file.path}: a {file.group}'s file cannot choose {_a(group)} ('{word}: "
                    f"{name}'): type {group}={name}, or make an experiment, "
                    f"experiment/MODEL-DATA.yaml with '- override /{group}: {name}'"
                )
            is_other = group != file.group or file.group == "experiment"
            if is_other and not str(word).startswith("override /"):
                raise UserError(
                    f"{file.path}: the choice of {_a(group)} is written '- override /{group}: "
                    f"{name}'"
                )
            if isinstance(name, str):
                yield group, name


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _dotted(section: str, keys: Mapping[str, Any]) -> list[str]:
    return [f"{section}.{key}" for key in keys]


def _package(path: Path) -> str:
    """Where the header of a file puts its settings; nothing: below its group."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.strip():
            continue
        header = re.match(r"\s*#\s*@package\s+(\S+)", line)
        if header:
            return header[1]
        if not re.match(r"\s*#\s*@", line):  # Hydra's header ends here
            break
    return ""


def _line(path: Path, keys: Sequence[str]) -> int:
    """The line of a nested key, 0 if it is not there."""
    import yaml

    node = yaml.compose(path.read_text(encoding="utf-8"), yaml.SafeLoader)
    line = 0
    for key in keys:
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        found = next((pair for pair in pairs if pair[0].value == key), None)
        if found is None:
            return 0
        line, node = found[0].start_mark.line + 1, found[1]
    return line
