"""Every model of conf/model keeps every contract, or says itself why not."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gbench.contracts.contract import BrokenError, NotApplicableError, exemptions, outcomes
from gbench.contracts.models import batching, layer_wise, node_order, padding, sparse
from gbench.contracts.models.every import CONTRACTS
from gbench.errors import UserError

from .zoo import MODELS, pairs, subject, variants


@pytest.mark.parametrize(("model", "data"), pairs())
def test_a_model_keeps_its_contracts(model, data):
    thing = subject(model, data)
    exempt = exemptions(thing.build().model)
    told = {o.contract.name: (o.verdict, o.detail) for o in outcomes(CONTRACTS, thing, exempt)}
    wrong = {name: said for name, said in told.items() if said[0] in ("does not hold", "not told")}
    assert not wrong
    answers = thing.answers(thing.model(), thing.pieces)
    assert answers.unique(dim=0).size(0) > 0.8 * answers.size(0)  # which do depend on the graph
    if data == "nodes":  # a model that is not evaluated in parts says why
        assert told["layer-wise"][0] in ("holds", "exempt")
        assert told["sparse"][0] == "holds"


@pytest.mark.parametrize("model", MODELS)
def test_an_exemption_is_needed_and_has_a_reason(model):
    needed: dict[str, bool] = {}
    for name, data in pairs():
        if name != model:
            continue
        thing = subject(model, data)
        for contract, reason in exemptions(thing.build().model).items():
            assert len(reason.split()) > 3
            (check,) = [c.check for c in CONTRACTS if c.name == contract]
            try:
                check(thing)
            except BrokenError:
                needed[contract] = True
            except NotApplicableError as told:  # layer-wise: without embed and steps it is told why
                needed[contract] = needed.get(contract, False) or "no embed" in str(told)
            else:
                needed.setdefault(contract, False)
    assert all(needed.values()), needed


@pytest.mark.parametrize(("model", "data"), [pair for pair in pairs() if pair[1] != "graphs"])
def test_other_settings_keep_what_a_graph_is(model, data):
    """Each other word, the least number of each setting and a positional encoding."""
    settings = subject(model, data).config["model"]
    checks = (node_order, batching, padding, layer_wise, sparse)
    for change in [*variants(settings), {"pe_dim": 3}]:
        thing = subject(model, data, **change)
        try:
            exempt = exemptions(thing.build().model)
        except UserError:
            continue  # this model has no such form, and says so
        looked_at = [room.CONTRACT for room in checks if room.CONTRACT.name not in exempt]
        for outcome in outcomes(looked_at, thing, {}):
            assert outcome.verdict in ("holds", "not applicable"), (change, outcome)


@pytest.mark.parametrize("model", [model for model, data in pairs() if data == "nodes"])
def test_no_layer_is_given_the_zeros_of_a_bag_of_words(model):
    """A first product with features that are mostly zeros takes their non-zeros."""
    thing = subject(model, "nodes")
    task = thing.build()
    graph = thing.dataset.store.whole()
    graph.x.mul_(torch.arange(graph.x.numel()).view_as(graph.x) % 7 == 0)
    assert graph.sparse_x is not None

    def look(module: nn.Module, args: tuple[object, ...]) -> None:
        given = args[0]
        is_x = isinstance(given, torch.Tensor) and given.shape == graph.x.shape
        assert not (is_x and torch.equal(given, graph.x)), f"{module} is given the dense features"

    for module in task.model.modules():
        if isinstance(module, nn.Linear):
            module.register_forward_pre_hook(look)
    task.model.eval()(graph)
