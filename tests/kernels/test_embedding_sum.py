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
def test_agrees_with_the_reference(num_rows, width, dtype, assert_agrees) -> None:
    codes = draw(num_rows)
    assert_agrees(
        lambda table: embedding_sum(codes, table, OFFSETS),
        lambda table: reference(codes, table, OFFSETS),
        torch.randn(sum(SIZES), width).to(dtype),
    )


@pytest.mark.parametrize("num_rows", [0, 77])
def test_several_tables_are_as_one_after_the_other(num_rows) -> None:
    codes, tables = draw(num_rows), torch.randn(3, sum(SIZES), 5, requires_grad=True)
    found = embedding_sum(codes, tables, OFFSETS)
    wanted = torch.stack([embedding_sum(codes, table, OFFSETS) for table in tables])
    assert torch.equal(found, wanted)
    assert torch.equal(found, reference(codes, tables, OFFSETS)) or num_rows
    grad = torch.randn(3, num_rows, 5)
    ours, theirs = (torch.autograd.grad(out, tables, grad)[0] for out in (found, wanted))
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("code_dtype", [torch.uint8, torch.int32], ids=str)
def test_codes_of_any_integer_type(code_dtype) -> None:
    table, codes = torch.randn(sum(SIZES), 3), draw(77)
    found = embedding_sum(codes.to(code_dtype), table, OFFSETS)
    assert torch.equal(found, embedding_sum(codes, table, OFFSETS))


@pytest.mark.parametrize(
    ("num_features", "size"), [(2, 40), (12, 100)], ids=["few", "beyond-64-bits"]
)
def test_more_different_rows_than_a_block_holds(num_features, size, assert_agrees) -> None:
    """Rows are numbered in 64 bits to find equal ones; 100^12 numbers are more than there are."""
    codes = torch.randint(0, size, (1500, num_features))
    codes[700:] = codes[torch.randint(0, 700, (800,))]
    offsets = torch.arange(num_features) * size
    assert len(codes.unique(dim=0)) > 512
    assert_agrees(
        lambda table: embedding_sum(codes, table, offsets),
        lambda table: reference(codes, table, offsets),
        torch.randn(num_features * size, 3, dtype=torch.float64),
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
