"""Each parametrisation of O(d) stays in O(d) and is the formula that its name says."""

from __future__ import annotations

import math

import pytest
import torch

from gbench.models.sheaf_maps import num_parameters, restriction_maps, rotation

EVERY = [(kind, d) for kind in ("householder", "cayley", "matrix_exp") for d in (2, 3, 4, 5)]
EVERY += [("euler", 2), ("euler", 3)]


def draw(kind, d, count=40):
    size = num_parameters("orthogonal", kind, d)
    return 2 * torch.rand(count, size, dtype=torch.float64) - 1  # what tanh gives


@pytest.mark.parametrize(("kind", "d"), EVERY)
def test_maps_are_orthogonal_and_of_one_component(kind, d):
    q = restriction_maps(draw(kind, d), "orthogonal", kind, d)
    torch.testing.assert_close(q.mT @ q, torch.eye(d, dtype=torch.float64).expand_as(q))
    sign = (-1) ** d if kind == "householder" else 1
    torch.testing.assert_close(torch.linalg.det(q), torch.full((40,), float(sign)).double())


@pytest.mark.parametrize(("kind", "d"), EVERY)
def test_gradients(kind, d):
    parameters = draw(kind, d, 3).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda p: restriction_maps(p, "orthogonal", kind, d), (parameters,)
    )


@pytest.mark.parametrize(("kind", "d"), EVERY)
def test_zero_parameters_give_the_identity_or_its_negative(kind, d):
    zero = torch.zeros_like(draw(kind, d, 1))
    eye = torch.eye(d, dtype=torch.float64)[None]
    expected = -eye if kind == "householder" else eye
    torch.testing.assert_close(restriction_maps(zero, "orthogonal", kind, d), expected)


def test_parameters_as_many_as_the_authors_have():
    counts = {kind: num_parameters("orthogonal", kind, 3) for kind in ("householder", "cayley")}
    counts |= {kind: num_parameters("orthogonal", kind, 3) for kind in ("matrix_exp", "euler")}
    assert counts == {"householder": 3, "cayley": 6, "matrix_exp": 6, "euler": 3}
    assert num_parameters("orthogonal", "euler", 2) == 1
    assert num_parameters("diagonal", "householder", 4) == 4
    assert num_parameters("general", "householder", 4) == 16


def test_the_plane_turns_by_the_angle():
    quarter = rotation(torch.tensor([[math.pi / 2]]))
    torch.testing.assert_close(quarter, torch.tensor([[[0.0, -1.0], [1.0, 0.0]]]))
    half_turn = restriction_maps(torch.tensor([[0.5]]), "orthogonal", "euler", 2)
    torch.testing.assert_close(half_turn, -torch.eye(2)[None])


def test_diagonal_and_general_maps_are_the_parameters_row_by_row():
    values = torch.arange(8.0).view(2, 4)
    assert restriction_maps(values, "diagonal", "householder", 4) is values
    general = restriction_maps(values, "general", "householder", 2)
    assert general.tolist() == [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]
