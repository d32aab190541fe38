"""One contract, what came of checking it, and the walk over all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Literal, TypeVar

from gbench.errors import UserError, unknown
from gbench.fault import fault_of, own_line

_RAISES = "it raises an exception where this is looked at, and a run may end in the same"

S = TypeVar("S")
Verdict = Literal["holds", "does not hold", "not applicable", "not told", "exempt"]


class BrokenError(Exception):
    """A contract does not hold: what was seen."""


class NotApplicableError(Exception):
    """A contract says nothing about this thing: why."""


@dataclass(frozen=True)
class Contract(Generic[S]):
    """A sentence about a thing, and how to look whether it is true."""

    name: str
    says: str  # what holds
    means: str  # what a user's results are where it does not
    look: str  # what to look at then
    check: Callable[[S], None]  # raises BrokenError or NotApplicableError
    needs: tuple[str, ...] = ()  # contracts without which this one cannot be told


@dataclass(frozen=True)
class Outcome(Generic[S]):
    """What came of a contract; `detail` is what was seen, or the reason."""

    contract: Contract[S]
    verdict: Verdict
    detail: str = ""


def exemptions(thing: object) -> Mapping[str, str]:
    """The contracts that a model, or a function, breaks on purpose, each with its reason."""
    stated = getattr(thing, "contracts", None)
    return stated if isinstance(stated, Mapping) else {}


def outcomes(
    contracts: Sequence[Contract[S]], thing: S, exempt: Mapping[str, str]
) -> Iterator[Outcome[S]]:
    """Each contract in turn, those that the thing exempts itself from only with its reason.

    What does not hold is looked at twice: a fault shows again, a last bit that a library rounded
    otherwise once in thousands of times does not.
    An exception that came through the user's own code is a contract that does not hold, any other
    is raised. Raises UserError for an exemption from what is no contract, or without a reason.
    """
    for name, reason in exempt.items():
        if name not in [contract.name for contract in contracts]:
            raise unknown("contract", name, [contract.name for contract in contracts])
        if not (isinstance(reason, str) and reason):
            raise UserError(f"contracts: {name} needs a reason, in words")
    broken: set[str] = set()
    for contract in contracts:
        outcome = _outcome(contract, thing, exempt, broken)
        if outcome.verdict == "does not hold":
            broken.add(contract.name)
        yield outcome


def _outcome(
    contract: Contract[S], thing: S, exempt: Mapping[str, str], broken: set[str]
) -> Outcome[S]:
    if contract.name in exempt:
        return Outcome(contract, "exempt", exempt[contract.name])
    if missing := [name for name in contract.needs if name in broken]:
        return Outcome(contract, "not told", f"{missing[0]} does not hold")
    try:
        try:
            contract.check(thing)
        except BrokenError:
            contract.check(thing)
    except NotApplicableError as reason:
        return Outcome(contract, "not applicable", str(reason))
    except BrokenError as seen:
        return Outcome(contract, "does not hold", str(seen))
    except UserError as error:
        place = own_line(error)
        return Outcome(contract, "does not hold", f"{error} ({place})" if place else str(error))
    except Exception as error:
        if not own_line(error):
            raise
        raised = replace(contract, means=_RAISES, look=f"that line; {contract.look}")
        return Outcome(raised, "does not hold", fault_of(error).sentence)
    return Outcome(contract, "holds")
