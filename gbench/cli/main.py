"""The `gbench` command: verbs, exit codes, and what an error looks like.

Exit codes: 0 done, 1 an exception in the user's own code, a defect of gbench, a point of a sweep
that failed or a contract that does not hold, 2 something for the user to mend, 130 interrupted.
Each verb is a module with SUMMARY, add_arguments(parser) and run(args); none of them imports torch
or hydra before it must.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from gbench import __version__
from gbench.cli.arguments import read_alike
from gbench.errors import UserError, unknown
from gbench.fault import fault_of, keep, own_line
from gbench.processes import helps_another_process

VERBS = {  # each with its module in gbench/cli, which is imported when it is used
    "train": "train",
    "sweep": "sweep",
    "search": "search",
    "eval": "evaluate",
    "predict": "predict",
    "errors": "errors",
    "resume": "resume",
    "show": "show",
    "list": "listing",
    "data": "data",
    "leaderboard": "leaderboard",
    "reproduce": "reproduce",
    "compare": "compare",
    "runs": "runs",
    "export": "export",
    "sync": "sync",
    "bench": "bench",
    "check": "check",
    "doctor": "doctor",
    "completion": "completion",
}

EXAMPLES = """\
examples:
  gbench train                                   GIN on the embedded digits, about a minute
  gbench train model=gin data=ogbg-molhiv        official split, metric and evaluator
  gbench train model=gcn data=cora seed=3 model.hidden_dim=64 trainer.max_epochs=50
  gbench leaderboard data=cora --format md
"""


class Parser(argparse.ArgumentParser):
    """argparse without abbreviated options, whose errors are one line and exit code 2."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            **options, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
        )

    def error(self, message: str) -> NoReturn:
        """Exit with code 2 and one line."""
        extra = message.partition("unrecognized arguments: ")[2].split(" ")[0]
        if extra:
            what = (
                f"unknown option '{extra}'" if extra[0] == "-" else f"'{extra}' means nothing here"
            )
            message = f"{what}: {self.prog} --help lists what there is"
        elif "arguments are required" in message:  # of which argparse names too many
            names = [str(a.metavar) for a in self._actions if a.nargs in (None, "+") and a.required]
            message = f"{self.prog} {' '.join(names)}: which? {self.prog} --help tells more"
        self.exit(2, f"gbench: {message}\n")


def overview() -> str:
    """What `gbench --help` prints."""
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {name:{width}}  {_module(name).SUMMARY}" for name in VERBS)
    return f"""\
usage: gbench VERB ...     (gbench VERB --help tells more; gbench --version)

Train graph neural networks to the paper's protocol and compare the runs.

{verbs}

{EXAMPLES}"""


def _module(verb: str) -> Any:
    return importlib.import_module(f"gbench.cli.{VERBS[verb]}")


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The arguments of one verb; options and settings may stand in any order."""
    verb = words[0]
    if verb not in VERBS:
        raise unknown("verb", verb, VERBS)
    module = _module(verb)
    parser = Parser(prog=f"gbench {verb}", description=module.__doc__)
    module.add_arguments(parser)
    parser.add_argument("--debug", action="store_true", help="show stack traces and warnings")
    parser.set_defaults(verbs=tuple(VERBS))
    return read_alike(parser, words[1:])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help", "help"):
        print(overview(), end="")
        return 0
    if words[0] == "--version":
        print(f"gbench {__version__}")
        return 0
    debug = "--debug" in words
    try:
        args = parse(words)
        code: int = _module(words[0]).run(args)
        sys.stdout.flush()
    except UserError as error:
        if debug:
            raise
        place = own_line(error)
        return _say(f"{error} ({place})" if place else str(error), 2)
    except KeyboardInterrupt:
        return _say("interrupted", 130)
    except BrokenPipeError as error:
        if own_line(error):
            return _unexpected(error, words)
        # the reader of our output, such as `head`, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (Exception, SystemExit) as error:
        if debug or (isinstance(error, SystemExit) and not own_line(error)):
            raise
        return _unexpected(error, words)
    finally:
        # Python's last collection would walk all that torch and Lightning made: 0.9 s of nothing.
        gc.freeze()
    return code


def _unexpected(error: BaseException, words: list[str]) -> int:
    """Tell an exception that nothing foresaw: see gbench/fault.py."""
    fault = fault_of(error)
    if fault.is_own:
        return _say(fault.sentence, 1, fault.details)
    if helps_another_process():
        return 1
    kept = keep(fault, words)
    if kept is None:
        return _say(
            f"{fault.sentence}\nReport a defect of gbench with what is above.", 1, fault.details
        )
    advice = f"The stack trace is in {kept}: report a defect of gbench with that file."
    return _say(f"{fault.sentence}\n{advice}", 1)


def _say(message: str, code: int, details: str = "") -> int:
    colour = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    name = "\033[1;31mgbench:\033[0m" if colour else "gbench:"
    if details or not helps_another_process():  # a line of the user's own may fail in only one
        print(f"{details}{name} {message}", file=sys.stderr)
    return code
