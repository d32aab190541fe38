"""Print a shell completion script: put `eval "$(gbench completion bash)"` in your ~/.bashrc."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from gbench.choices import GROUPS, PACKAGED, choices, default_choice, read_yaml
from gbench.config.checks import FACTS
from gbench.errors import unknown
from gbench.sweep.words import OPTIONS, REPETITIONS

SUMMARY = "print a completion script for bash, zsh or fish"

SCRIPTS = {
    "bash": """\
_gbench() {
    local IFS=$'\\n' line="${COMP_LINE:0:COMP_POINT}"
    local word="${line##* }"
    COMPREPLY=($(gbench completion --for "$line" 2>/dev/null))
    # bash breaks words at "=": offer only what follows the last one
    [[ $word == *=* ]] && COMPREPLY=("${COMPREPLY[@]#"${word%"${word##*=}"}"}")
    [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace
}
complete -F _gbench gbench
""",
    "zsh": """\
_gbench() {
    local -a candidates
    candidates=(${(f)"$(gbench completion --for "$LBUFFER" 2>/dev/null)"})
    compadd -S '' -- $candidates
}
compdef _gbench gbench
""",
    "fish": """\
complete -c gbench -f -a '(gbench completion --for (commandline -cp) 2>/dev/null)'
""",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", nargs="?", default="bash", metavar="|".join(SCRIPTS))
    parser.add_argument(
        "--for", dest="line", metavar="LINE", help="print what could follow this line"
    )


def run(args: argparse.Namespace) -> int:
    if args.line is not None:
        words = args.line.split(" ")
        for candidate in candidates(words[1:], args.verbs):
            print(candidate)
        return 0
    if args.shell not in SCRIPTS:
        raise unknown("shell", args.shell, SCRIPTS)
    print(SCRIPTS[args.shell], end="")
    return 0


def candidates(words: Sequence[str], verbs: Sequence[str]) -> list[str]:
    """What the last of `words` (all that follows `gbench`) could become."""
    *before, word = words or [""]
    offers = _offers(before, word) if before else verbs
    return sorted({candidate for candidate in offers if candidate.startswith(word)})


def _offers(before: Sequence[str], word: str) -> Iterator[str]:
    if before[0] in ("train", "show", "check", "sweep", "search"):
        yield from _settings(before, word)
        if before[0] not in ("show", "check"):
            yield from (f"{name}=" for name in (*REPETITIONS, *OPTIONS))
    elif before[0] == "predict" and before[-1] == "--split":
        from gbench.cli.predict import SPLITS

        yield from SPLITS
    elif before[0] in ("eval", "predict", "errors", "resume", "export", "compare", "sync"):
        yield from (path.parent.name for path in Path("runs").glob("*/config.yaml"))
    elif before[0] == "list":
        from gbench.cli.listing import FACTS, TITLES

        yield from (*TITLES, *FACTS)
    elif before[0] == "data":
        yield from ("get", "info", "list", "clean") if len(before) == 1 else choices("data")
    elif before[0] == "leaderboard":
        yield from (f"data={name}" for name in choices("data"))
    elif before[0] == "completion":
        yield from SCRIPTS


def _settings(before: Sequence[str], word: str) -> Iterator[str]:
    """`group=choice` once a group is typed; before that the groups and the choices' settings."""
    group, equals, _ = word.partition("=")
    if equals:
        yield from (f"{group}={name}" for name in choices(group)) if group in GROUPS else ()
        return
    yield from (f"{name}=" for name in GROUPS)
    chosen = dict(w.split("=", 1) for w in before if "=" in w)
    files = [PACKAGED / "train.yaml"]
    for name in ("model", "data"):
        path = choices(name).get(chosen.get(name, default_choice(name)))
        files += [path] if path else []
    for path in files:
        content = read_yaml(path)
        section = path.parent.name
        for key, value in content.items():
            if key == "defaults" or key.startswith("_"):
                continue
            if section == "data":
                yield from () if key in FACTS else (f"data.{key}=",)
            elif isinstance(value, dict):
                yield from (
                    f"{key}.{leaf}=" for leaf in value if leaf not in ("_target_", "levels")
                )
            else:
                yield f"{key}="
