"""Check what a result rests on: a model's, a dataset's or an encoding's contracts, on tiny data.

  gbench check model=NAME       on a tiny dataset of each of its levels
  gbench check model=NAME data=NAME      on a small part of that dataset, and with its features
  gbench check data=NAME        the loader: sound, repeatable, no label among the features, ...
  gbench check encoding=NAME    finite, repeatable, independent of node order, ...

One line per contract: it holds, or does not, and what that means for your results. A thing that has
to break one says so in your code, with the reason: contracts = {"batching": "why"}, an attribute of
the model's class or of the function. Exit code 1 where a contract does not hold.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from gbench.cli.arguments import add_overrides

if TYPE_CHECKING:
    from gbench.contracts.contract import Outcome

SUMMARY = "check a model, a dataset or an encoding for what a result rests on"
WIDTH = len("not applicable")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_overrides(parser)


def run(args: argparse.Namespace) -> int:
    from gbench.quiet import silence

    if not args.debug:
        silence()
    from gbench.contracts.asked import reports

    broken = 0
    for report in reports(args.overrides, args.config_dir):
        print(report.title, flush=True)
        for outcome in report.outcomes:
            print("\n".join(lines(outcome)), flush=True)
            broken += outcome.verdict == "does not hold"
        print()
    print(f"{broken} do not hold" if broken > 1 else "1 does not hold" if broken else "all hold")
    return 1 if broken else 0


def lines(outcome: Outcome[Any]) -> list[str]:
    """What is printed of a contract: one line, and where it does not hold what that means."""
    contract = outcome.contract
    said = contract.says if outcome.verdict == "holds" else outcome.detail
    first = f"  {outcome.verdict:{WIDTH}}  {contract.name:10}  {said}"
    if outcome.verdict != "does not hold":
        return [first]
    indent = " " * (len(first) - len(said))
    return [first, f"{indent}so: {contract.means}", f"{indent}look at: {contract.look}"]
