import pytest
import torch
from ogb.graphproppred.mol_encoder import AtomEncoder

from gbench.kernels import embedding_sum
from gbench.kernels.embedding_sum import reference

SIZES = [5, 1, 12, 4]
OFFSETS = torch.tensor([0, 5, 6, 18])


def draw(num_rows: int, dtype: torch.dtype = torch.int64) -> torch.Tensor:
    return torch.stack([torch.randint(0, size, (num_rows,)) for size in SIZES], 1).to(dtype)


@pytest.mark.parametrize("num_rows", [0, 1, 77])
@pytest.mark.parametrize("code_dtype", [torch.uint8, torch.int32, torch.int64], ids=str)
def test_agrees_with_the_reference(num_rows, width, dtype, code_dtype, assert_agrees) -> None:
    codes = draw(num_rows, code_dtype)
    assert_agrees(
        lambda table: embedding_sum(codes, table, OFFSETS),
        lambda table: reference(codes, table, OFFSETS),
        torch.randn(sum(SIZES), width).to(dtype),
    )


def test_is_ogbs_atom_encoder() -> None:
    encoder = AtomEncoder(16)
    tables = [part.weight for part in encoder.atom_embedding_list]
    codes = torch.stack([torch.randint(0, len(table), (50,)) for table in tables], 1)
    sizes = torch.tensor([len(table) for table in tables])
    found = embedding_sum(codes, torch.cat(tables), sizes.cumsum(0) - sizes)
    torch.testing.assert_close(found, encoder(codes))
    grad = torch.randn(50, 16)
    ours = torch.autograd.grad(found, tables, grad)
    torch.testing.assert_close(ours, torch.autograd.grad(encoder(codes), tables, grad))


@pytest.mark.parametrize(("feature", "code"), [(0, 5), (1, 1), (2, -1), (3, 4)])
def test_a_category_of_the_next_feature_is_refused(feature, code) -> None:
    codes = draw(9)
    codes[6, feature] = code  # but for the first and last it would be a row of the table
    with pytest.raises(IndexError, match=rf"codes\[6, {feature}\] is {code}"):
        embedding_sum(codes, torch.randn(sum(SIZES), 3), OFFSETS)


def test_wrong_arguments_are_named() -> None:
    table = torch.randn(sum(SIZES), 3)
    with pytest.raises(TypeError, match="pass integers"):
        embedding_sum(draw(4).float(), table, OFFSETS)
    with pytest.raises(ValueError, match="codes has shape"):
        embedding_sum(draw(4)[:, :3], table, OFFSETS)
    with pytest.raises(ValueError, match="table has shape"):
        embedding_sum(draw(4), table[0], OFFSETS)
