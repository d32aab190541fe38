import pytest
import torch
from torch import nn

from gbench.kernels import norm_act
from gbench.kernels.norm_act import keep_mask, reference


def trained_norm(width: int, dtype: torch.dtype = torch.float32) -> nn.BatchNorm1d:
    """A norm whose parameters and running statistics are not the initial ones."""
    norm = nn.BatchNorm1d(width, dtype=dtype)
    for value in (norm.weight, norm.bias, norm.running_mean):
        nn.init.normal_(value)
    nn.init.uniform_(norm.running_var, 0.5, 2.0)
    return norm


def copy_of(norm: nn.BatchNorm1d) -> nn.BatchNorm1d:
    other = nn.BatchNorm1d(norm.num_features, dtype=norm.weight.dtype)
    other.load_state_dict(norm.state_dict())
    return other.train(norm.training)


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("relu", [True, False], ids=["relu", "linear"])
@pytest.mark.parametrize("num_rows", [2, 33, 1000])
def test_is_torchs_modules(num_rows, width, relu, training) -> None:
    x = torch.randn(num_rows, width, dtype=torch.float64, requires_grad=True)
    residual = torch.randn(num_rows, width, dtype=torch.float64, requires_grad=True)
    norm = trained_norm(width, torch.float64).train(training)
    other = copy_of(norm)
    out = norm_act(x, norm, relu=relu, residual=residual)
    hidden = other(x)
    expected = (hidden.relu() if relu else hidden) + residual
    torch.testing.assert_close(out, expected)
    grad = torch.randn_like(out)
    found = torch.autograd.grad(out, [x, residual, norm.weight, norm.bias], grad)
    wanted = torch.autograd.grad(expected, [x, residual, other.weight, other.bias], grad)
    # Two rows differ from their mean by ±s alone: their gradient is a difference of equals.
    torch.testing.assert_close(found, wanted, rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(dict(norm.state_dict()), dict(other.state_dict()))


@pytest.mark.parametrize("rate", [0.1, 0.5])
@pytest.mark.parametrize("num_rows", [5, 400])
def test_agrees_with_the_reference(num_rows, width, dtype, rate) -> None:
    norm = trained_norm(width, torch.promote_types(dtype, torch.float32))
    x, residual, grad = torch.randn(3, num_rows, width).to(dtype).unbind()
    torch.manual_seed(7)
    seed = torch.randint(2**63 - 1, ())
    inputs = [value.detach().requires_grad_() for value in (x, residual)]
    torch.manual_seed(7)
    out = norm_act(inputs[0], norm, dropout=rate, residual=inputs[1])
    exact = [v.detach().double().requires_grad_() for v in (x, residual, norm.weight, norm.bias)]
    options = (seed, True, norm.eps, True, rate)
    expected = reference(exact[0], exact[2], exact[3], None, None, exact[1], *options)[0]
    found = torch.autograd.grad(out, [*inputs, norm.weight, norm.bias], grad)
    wanted = torch.autograd.grad(expected, exact, grad.double())
    tolerance = {torch.float64: 1e-9, torch.float32: 1e-4, torch.bfloat16: 3e-2}[dtype]
    assert out.dtype == dtype
    for ours, theirs in zip((out, *found), (expected, *wanted), strict=True):
        scale = float(theirs.detach().abs().max())
        torch.testing.assert_close(
            ours.detach().double(), theirs.detach(), rtol=0, atol=tolerance * max(scale, 1)
        )


def test_a_mean_a_million_times_the_deviation_costs_no_accuracy() -> None:
    x = (torch.randn(5000, 3, dtype=torch.float64) + 2.0**20).float()  # as float32 holds it
    norm = nn.BatchNorm1d(3)
    exact = x.double()
    expected = (exact - exact.mean(0)) / (exact.var(0, unbiased=False) + norm.eps).sqrt()
    out = norm_act(x, norm, relu=False)
    # x - μ is off by the rounding of a float32 μ: 2^20 · 2^-24 = 0.06 of a deviation
    torch.testing.assert_close(out.double(), expected, rtol=0, atol=0.07)
    torch.testing.assert_close(norm.running_var.double(), 0.9 + 0.1 * exact.var(0))


def test_a_mean_a_thousand_times_the_deviation_stays_exact() -> None:
    x = torch.randn(13000, 5) + 1000
    exact = x.double()
    expected = (exact - exact.mean(0)) / (exact.var(0, unbiased=False) + 1e-5).sqrt()
    out = norm_act(x, nn.BatchNorm1d(5), relu=False)
    torch.testing.assert_close(out.double(), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_keeps_its_share_of_every_row_and_column(rate) -> None:
    kept = keep_mask(torch.tensor(12345678901234), 2000, 300, rate).double() - (1 - rate)
    deviation = (rate * (1 - rate)) ** 0.5
    assert abs(kept.mean()) < 4 * deviation / 600000**0.5
    for axis, count in ((0, 2000), (1, 300)):
        share = kept.mean(axis) * count**0.5 / deviation  # standard normal
        assert share.abs().max() < 6
        assert 0.8 < share.std() < 1.2  # rows and columns vary as independent draws do
    neighbours = (kept[1:] * kept[:-1]).mean() / deviation**2
    assert abs(neighbours) < 4 / 600000**0.5


def test_dropout_scales_what_it_keeps_and_drops_the_same_in_backward() -> None:
    x = torch.randn(300, 20, requires_grad=True)
    norm = nn.BatchNorm1d(20)
    whole = norm_act(x, norm, relu=False)
    out = norm_act(x, norm, relu=False, dropout=0.25)
    kept = out != 0
    torch.testing.assert_close(out[kept], whole[kept] / 0.75)
    # In one column, bias's gradient adds up exactly the kept elements' gradients.
    (grad,) = torch.autograd.grad(out.sum(), norm.bias)
    torch.testing.assert_close(grad, kept.sum(0) / 0.75)


def test_masks_follow_torchs_seed_and_differ_from_call_to_call() -> None:
    x, norm = torch.randn(50, 20), nn.BatchNorm1d(20)
    torch.manual_seed(3)
    first, second = norm_act(x, norm, dropout=0.5), norm_act(x, norm, dropout=0.5)
    torch.manual_seed(3)
    again = norm_act(x, norm, dropout=0.5)
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


def test_compiled_it_still_draws_a_new_mask_each_time() -> None:
    x, norm = torch.randn(50, 20), nn.BatchNorm1d(20)
    step = torch.compile(
        lambda x: norm_act(x, norm, relu=False, dropout=0.5), fullgraph=True, backend="aot_eager"
    )
    first, second = step(x), step(x)
    assert not torch.equal(first == 0, second == 0)
    assert 0.3 < (first == 0).float().mean() < 0.7
    assert int(norm.num_batches_tracked) == 2


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("count", [2, 30, 40])
def test_only_the_leading_rows_of_a_padded_batch_count(count, dtype, training) -> None:
    """Values, gradients and running statistics of the batch without its padding, bit for bit."""
    norm = trained_norm(7, torch.promote_types(dtype, torch.float32)).train(training)
    other = copy_of(norm)
    x, residual, grad = torch.randn(3, 40, 7).to(dtype).unbind()
    x[count:], residual[count:] = torch.inf, torch.nan  # nobody reads them
    padded = [value.detach().requires_grad_() for value in (x, residual)]
    exact = [value[:count].detach().requires_grad_() for value in (x, residual)]
    found, wanted = [], []
    for to, (x, residual), own, many in ((found, padded, norm, 40), (wanted, exact, other, count)):
        rows = None if many == count and own is other else torch.tensor(count)
        torch.manual_seed(3)
        out = norm_act(x, own, dropout=0.3, residual=residual, rows=rows)
        wants = [x, residual, own.weight, own.bias]
        to += [out.detach(), *torch.autograd.grad(out, wants, grad[:many])]
    for ours, theirs in zip(found, wanted, strict=True):
        assert torch.equal(ours[: len(theirs)], theirs)
        assert not ours[len(theirs) :].any()
    assert all(map(torch.equal, norm.state_dict().values(), other.state_dict().values()))


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_what_is_added_before(training) -> None:
    """As if it were added; in training its gradient is 0, which a sum is up to its rounding."""
    norm = trained_norm(7, torch.float64).train(training)
    other = copy_of(norm)
    x, before = torch.randn(40, 7).double(), torch.randn(7).double()
    inputs = [value.requires_grad_() for value in (x, before)]
    out = norm_act(x, norm, before=before)
    expected = norm_act(x + before, other)
    grad = torch.randn(40, 7).double()
    found = torch.autograd.grad(out, [*inputs, norm.weight, norm.bias], grad)
    wanted = torch.autograd.grad(expected, [*inputs, other.weight, other.bias], grad)
    torch.testing.assert_close((out, *found), (expected, *wanted))
    assert bool(found[1].any()) != training
    torch.testing.assert_close(dict(norm.state_dict()), dict(other.state_dict()))


def test_evaluation_drops_nothing_and_updates_nothing() -> None:
    x, norm = torch.randn(50, 20), trained_norm(20).eval()
    before, generator = copy_of(norm).state_dict(), torch.get_rng_state()
    torch.testing.assert_close(norm_act(x, norm, dropout=0.5), copy_of(norm)(x).relu())
    torch.testing.assert_close(dict(norm.state_dict()), dict(before), rtol=0, atol=0)
    assert torch.equal(torch.get_rng_state(), generator)
    one = norm_act(x[:1], norm)  # a single row is no difficulty here
    torch.testing.assert_close(one, copy_of(norm)(x[:1]).relu())
    assert norm_act(x[:0], norm.train()).shape == (0, 20)


def test_only_the_features_are_kept_for_backward() -> None:
    x, norm = torch.randn(50, 20, requires_grad=True), nn.BatchNorm1d(20)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        norm_act(x, norm, dropout=0.5)
    assert [t.data_ptr() for t in kept if t.numel() >= x.numel()] == [x.data_ptr()]


def test_a_nan_stays_in_its_column() -> None:
    x = torch.randn(40, 3)
    x[5, 1] = torch.nan
    found = norm_act(x, nn.BatchNorm1d(3)).isnan()
    assert found[:, 1].all()
    assert not found[:, [0, 2]].any()


def test_wrong_arguments_are_named() -> None:
    x, norm = torch.randn(5, 3), nn.BatchNorm1d(3)
    with pytest.raises(ValueError, match="more than one row"):
        norm_act(x[:1], norm)
    with pytest.raises(ValueError, match="x has 3 features but norm has 4"):
        norm_act(x, nn.BatchNorm1d(4))
    with pytest.raises(ValueError, match=r"dropout=1\.0"):
        norm_act(x, norm, dropout=1.0)
    with pytest.raises(ValueError, match="affine=True"):
        norm_act(x, nn.BatchNorm1d(3, affine=False))
    with pytest.raises(ValueError, match="residual has shape"):
        norm_act(x, norm, residual=x[:4])
    with pytest.raises(ValueError, match="x is on meta"):
        norm_act(x.to("meta"), norm)
    with pytest.raises(ValueError, match="before has shape"):
        norm_act(x, norm, before=x[0, :2])
    with pytest.raises(TypeError, match=r"rows is torch\.float32"):
        norm_act(x, norm, rows=torch.tensor(3.0))
    with pytest.raises(ValueError, match="more than one row"):
        norm_act(x, norm, rows=torch.tensor(1))
