"""What comes of contracts: verdicts, reasons, and what cannot be told."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from gbench.contracts.contract import (
    BrokenError,
    Contract,
    NotApplicableError,
    exemptions,
    outcomes,
)
from gbench.errors import UserError


def contract(name: str, check: Callable[[object], None], *needs: str) -> Contract[object]:
    return Contract(name, "it holds", "nothing counts", "here", check, needs)


def raising(*errors: Exception | None) -> Callable[[object], None]:
    """Raises these, one at each call."""
    left = list(errors)

    def check(_: object) -> None:
        error = left.pop(0)
        if error is not None:
            raise error

    return check


def told(*contracts: Contract[object], exempt: dict[str, str] | None = None) -> dict[str, str]:
    found = outcomes(contracts, object(), exempt or {})
    return {o.contract.name: f"{o.verdict}: {o.detail}" for o in found}


def test_a_fault_shows_twice_and_hides_what_needs_it() -> None:
    seen = BrokenError("seen")
    found = told(
        contract("once", raising(seen, None)),
        contract("twice", raising(seen, seen)),
        contract("after", raising(), "twice"),
        contract("user", raising(UserError("mend it"))),
        contract("other", raising(NotApplicableError("a reason"))),
        contract("fine", raising(None)),
    )
    assert found.pop("user").startswith("does not hold: mend it (")
    assert found == {
        "once": "holds: ",
        "twice": "does not hold: seen",
        "after": "not told: twice does not hold",
        "other": "not applicable: a reason",
        "fine": "holds: ",
    }


def test_an_exception_of_the_users_is_told_with_its_line() -> None:
    own = contract("own", raising(ZeroDivisionError("oh")))
    answer = told(own)["own"]
    assert answer.startswith("does not hold: ") and "test_contract.py, line" in answer
    (outcome,) = outcomes([own], None, {})  # what the contract rules out was not seen
    assert outcome.contract.means != own.means and "exception" in outcome.contract.means


def test_exemptions_have_a_contract_and_a_reason() -> None:
    fine = contract("fine", raising(None))
    assert told(fine, exempt={"fine": "on purpose"}) == {"fine": "exempt: on purpose"}
    with pytest.raises(UserError, match="did you mean 'fine'"):
        told(fine, exempt={"fina": "on purpose"})
    with pytest.raises(UserError, match="fine needs a reason"):
        told(fine, exempt={"fine": ""})
    assert exemptions(SimpleNamespace(contracts={"a": "b"})) == {"a": "b"}
    assert exemptions(SimpleNamespace(contracts=[1])) == exemptions(object()) == {}
