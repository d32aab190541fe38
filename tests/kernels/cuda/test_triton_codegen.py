"""What the compiler makes of the kernels for an H100, which needs no GPU: registers, spills, loads.

Each operation is called as on a GPU, with launches replaced by compilation: Triton specialises and
compiles what the launch would have run. With the width passed as a run-time integer, D = 300 would
compile to loads of 32 bits, a quarter of the bytes per instruction; nothing else would notice.

GBENCH_CODEGEN=FILE adds a line of JSON for each kernel to a file: scripts/codegen_table.py.
"""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from gbench.bench.gpu.interpreted import cuda_operations
from gbench.kernels.csr import UNKNOWN

triton = pytest.importorskip("triton", reason="needs triton (pip install triton)")
if os.environ.get("TRITON_INTERPRET") == "1":
    pytest.skip("the interpreter compiles nothing", allow_module_level=True)

CUDA_OPERATIONS = cuda_operations()
CUOBJDUMP = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
NODES, ENTRIES = 1000, 200  # so few entries have no hub, and need no second launch


class H100:
    """As much of a driver as compiling asks for. Its device number is no real device's."""

    def get_current_target(self):
        return triton.backends.compiler.GPUTarget("cuda", 90, 32)

    def get_current_device(self):
        return -1

    def get_current_stream(self, device):
        return 0


class Compiled(NamedTuple):
    name: str
    registers: int
    spilled: int
    load_bits: int


@pytest.fixture
def compiled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[list[Compiled]]:
    """What has been compiled instead of launched."""
    found: list[Compiled] = []
    run = triton.runtime.JITFunction.run

    def compile_only(kernel, *args, grid, warmup, **kwargs):
        # Else it is compiled again where a batch's size is 1 or a multiple of 16.
        for parameter, value in zip(kernel.params, args, strict=False):
            is_free = parameter.do_not_specialize or parameter.name == "count"
            assert is_free or not isinstance(value, int), (kernel, parameter)
        asm = run(kernel, *args, grid=grid, warmup=True, **kwargs).asm
        if "PRECISION" not in kernel.arg_names:  # which says how float32 is multiplied
            assert ".tf32" not in asm["ptx"], kernel.fn.__name__
        merges = " (merge)" if kwargs.get("MERGE") else ""
        name = f"{kernel.module.rsplit('.', 1)[1]}.{kernel.fn.__name__}{merges}"
        found.append(inspect(name, asm, tmp_path / "kernel.cubin"))

    driver = triton.runtime.driver
    before = driver._active
    driver.set_active(H100())
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "triton"))
    monkeypatch.setattr(triton.runtime.JITFunction, "run", compile_only)
    yield found
    driver._active = before
    if file := os.environ.get("GBENCH_CODEGEN"):
        with Path(file).open("a") as lines:
            for kernel in found:
                row = {"test": request.node.name, "triton": triton.__version__, **kernel._asdict()}
                print(json.dumps(row), file=lines)


def inspect(name: str, asm: dict[str, Any], file: Path) -> Compiled:
    file.write_bytes(asm["cubin"])
    command = [CUOBJDUMP, "--dump-resource-usage", file]
    usage = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    loads = re.findall(r"ld\.global\S*?(?:\.v(\d))?\.b(\d+)", asm["ptx"])
    return Compiled(
        name,
        int(re.search(r"REG:(\d+)", usage)[1]),
        int(re.search(r"STACK:(\d+)", usage)[1]) + int(re.search(r"LOCAL:(\d+)", usage)[1]),
        max((int(lanes or 1) * int(bits) for lanes, bits in loads), default=0),
    )


def cuda(name: str) -> object:
    return import_module(f"gbench.kernels.cuda.{name}")


def graph() -> tuple[torch.Tensor, ...]:
    """The five arrays of a CSR."""
    ptr, col = torch.empty(NODES + 1, dtype=torch.int32), torch.empty(ENTRIES, dtype=torch.int32)
    return ptr, col, ptr, col, col


def spmm(x: torch.Tensor) -> None:
    weight, operation = x.new_empty(ENTRIES), cuda("spmm")
    operation.spmm(graph(), UNKNOWN, x, None, "sum")
    operation.spmm(graph(), UNKNOWN, x, None, "max")
    arrays = (x, graph(), UNKNOWN, x)
    operation.spmm_backward(*arrays, weight, None, "mean", True, True)
    operation.spmm_backward(*arrays, None, x, "max", True, False)


def gcn_propagate(x: torch.Tensor) -> None:
    seed = torch.empty((), dtype=torch.int64)
    cuda("gcn_propagate").gcn_propagate(graph(), UNKNOWN, x, x[0], seed, 1, True, 0.5)
    cuda("gcn_propagate").gcn_propagate_backward(x, None, None, graph(), UNKNOWN, 1, 0.0, True)


def gcn_gated_sum(x: torch.Tensor) -> None:
    """All hops in one launch, and a launch for each."""
    given, module = (x[0], x.new_empty(())), cuda("gcn_gated_sum")
    for most in (module.MAX_TILES, 0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "MAX_TILES", most)
            _, hidden = module.gcn_gated_sum(graph(), ENTRIES, x, *given, 2, [], True)
            module.gcn_gated_sum_backward(x, graph(), ENTRIES, x, hidden, *given, 2, [])


def teleport_propagate(x: torch.Tensor) -> None:
    module = cuda("teleport_propagate")
    module.teleport_propagate(graph(), UNKNOWN, x, None, 0.1, 2)
    module.teleport_propagate_backward(x, graph(), UNKNOWN, 0.1, 1, False)


def segment_reduce(x: torch.Tensor) -> None:
    ptr = graph()[0]
    cuda("segment_reduce").segment_reduce(ptr, UNKNOWN, x, "mean")
    cuda("segment_reduce").segment_reduce_backward(x, ptr, UNKNOWN, None, None, NODES, "mean")


def segment_add(x: torch.Tensor) -> None:
    cuda("segment_add").segment_add(graph()[0], x, x)
    cuda("segment_add").segment_add_backward(x, graph()[0])


def embedding_sum(x: torch.Tensor) -> None:
    codes, offsets = torch.empty(NODES, 9, dtype=torch.int64), torch.empty(9, dtype=torch.int64)
    cuda("embedding_sum").embedding_sum(codes, x[:174], offsets)
    cuda("embedding_sum").embedding_sum(codes, x[:522].view(3, 174, -1), offsets)
    cuda("embedding_sum").embedding_sum_backward(x, codes, offsets, 174)


def gine_aggregate(x: torch.Tensor) -> None:
    given = (graph(), UNKNOWN, x, x[:60], torch.empty(ENTRIES, dtype=torch.uint8), x.new_empty(()))
    cuda("gine_aggregate").gine_aggregate(*given)
    cuda("gine_aggregate").gine_aggregate_backward(x, *given)


def gine_dense(x: torch.Tensor) -> None:
    given = (graph(), UNKNOWN, x, x.new_empty(ENTRIES, x.size(1)), x.new_empty(()))
    cuda("gine_dense").gine_dense(*given)
    cuda("gine_dense").gine_dense_backward(x, *given)


def directed_propagate(x: torch.Tensor) -> None:
    for powers in ((-0.5, -0.5), (-1.0, 0.0), (-0.25, -0.25)):
        cuda("directed_propagate").directed_propagate(graph(), UNKNOWN, x, *powers)
        cuda("directed_propagate").directed_propagate_backward(x, graph(), UNKNOWN, *powers)


def pna_aggregate(x: torch.Tensor) -> None:
    """Messages of nodes alone, with a table's rows and with a row for each entry."""
    x, code = x.to(torch.promote_types(x.dtype, torch.float32)), torch.empty(ENTRIES).byte()
    for edge in ((None, None), (x[:60], code), (x[:ENTRIES], None)):
        given = (graph(), UNKNOWN, x, *edge)
        out = cuda("pna_aggregate").pna_aggregate(*given)
        cuda("pna_aggregate").pna_aggregate_backward(out, *given, out)


def activated_sum(x: torch.Tensor) -> None:
    x, code = x.to(torch.promote_types(x.dtype, torch.float32)), torch.empty(ENTRIES).byte()
    for edge in ((None, None), (x[:60], code), (x[:ENTRIES], None)):
        for act, scale in (("relu", None), ("gelu", x[:, 0].contiguous())):
            given = (graph(), UNKNOWN, x, x, *edge, scale, act, 0.2)
            out = cuda("activated_sum").activated_sum(*given)
            cuda("activated_sum").activated_sum_backward(out, *given)


def gatv2_score(x: torch.Tensor) -> None:
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    heads = x[:, None].expand(-1, 2, -1).contiguous()
    for edge in (None, heads[:ENTRIES]):
        given = (graph(), UNKNOWN, heads, heads, heads[0], edge)
        out = cuda("gatv2_score").gatv2_score(*given)
        cuda("gatv2_score").gatv2_score_backward(out, *given)


def gated_aggregate(x: torch.Tensor) -> None:
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    edge = x[:ENTRIES]
    out, state = cuda("gated_aggregate").gated_aggregate(graph(), UNKNOWN, edge, x, x, x)
    for arrives in (None, edge):
        given = (out, arrives, graph(), UNKNOWN, x, out, state)
        cuda("gated_aggregate").gated_aggregate_backward(*given)


def ragged_attention(x: torch.Tensor) -> None:
    ptr, heads = graph()[0], x[:, None].expand(-1, 4, -1).contiguous()
    for seed, rate in ((None, 0.0), (torch.empty((), dtype=torch.int64), 0.5)):
        given = (ptr, heads, heads, heads, seed)
        out, log_sum = cuda("ragged_attention").ragged_attention(*given, rate)
        cuda("ragged_attention").ragged_attention_backward(out, *given, out, log_sum, rate)


def gcn_bond_aggregate(x: torch.Tensor) -> None:
    given = (graph(), UNKNOWN, x, x[:60], torch.empty(ENTRIES, dtype=torch.uint8), x[0])
    cuda("gcn_bond_aggregate").gcn_bond_aggregate(*given)
    cuda("gcn_bond_aggregate").gcn_bond_aggregate_backward(x, *given)


def edge_softmax(x: torch.Tensor) -> None:
    score = x.new_empty(ENTRIES, 4)
    heads = x[:, None].expand(-1, 4, -1).contiguous()
    for factor in (None, score):
        given = (graph(), UNKNOWN, score, heads, factor)
        _, log_sum = cuda("edge_softmax").edge_softmax(*given)
        cuda("edge_softmax").edge_softmax_backward(heads, *given, heads, log_sum)


def sheaf_laplacian(x: torch.Tensor) -> None:
    ptr, col, *_ = graph()
    stalks = x[:, None].expand(-1, 3, -1).contiguous()
    for shape in ((ENTRIES, 3), (ENTRIES, 3, 3)):
        maps = x.new_empty(shape)
        given = (ptr, col, col, UNKNOWN, maps, stalks)
        cuda("sheaf_laplacian").sheaf_laplacian(*given)
        cuda("sheaf_laplacian").sheaf_laplacian_backward(stalks, *given)


def householder(x: torch.Tensor) -> None:
    maps = x.new_empty(ENTRIES, 3, 3)
    cuda("householder").householder(maps[:, 0], 3)
    cuda("householder").householder_backward(maps, maps[:, 0], maps)


def pair_tanh(x: torch.Tensor) -> None:
    ptr, col, *_ = graph()
    cuda("pair_tanh").pair_tanh(ptr, col, ptr, col, UNKNOWN, x[:, :6])
    y = x[:ENTRIES, :3]
    cuda("pair_tanh").pair_tanh_backward(y, ptr, ptr, col, UNKNOWN, y)


def pair_weight(x: torch.Tensor) -> None:
    ptr, col, *_ = graph()
    cuda("pair_weight").pair_weight(ptr, col, col, UNKNOWN, x[:, :2])
    y = x[:ENTRIES, 0].contiguous()
    cuda("pair_weight").pair_weight_backward(y, ptr, col, UNKNOWN, y, y)


def pair_conv(x: torch.Tensor) -> None:
    """A number for each feature, and one for each of four heads, dropped and not."""
    ptr, nodes = graph()[0], torch.empty(NODES, dtype=torch.int32)
    seed = torch.empty((), dtype=torch.int64)
    for psi, rate in ((x, 0.5), (x, 0.0), (x[:, :4].contiguous(), 0.5)):
        given = (ptr, nodes, ptr, psi, x, seed if rate else None, True, rate)
        cuda("pair_conv").pair_conv(*given)
        cuda("pair_conv").pair_conv_backward(x, *given)


def pair_softmax(x: torch.Tensor) -> None:
    cuda("pair_softmax").pair_softmax(graph()[0], x)
    cuda("pair_softmax").pair_softmax_backward(x, graph()[0], x)


def pair_gate(x: torch.Tensor) -> None:
    ptr, nodes = graph()[0], torch.empty(NODES, dtype=torch.int32)
    given = (ptr, nodes, ptr, x, x, x.new_empty(NODES, 2 * x.size(1)))
    cuda("pair_gate").pair_gate(*given)
    cuda("pair_gate").pair_gate_backward(x, *given)


def pair_sum(x: torch.Tensor) -> None:
    weight = x[:, :4].contiguous()
    cuda("pair_sum").pair_sum(graph()[0], weight, x)
    cuda("pair_sum").pair_sum_backward(x, graph()[0], weight, x)


def sheaf_mix(x: torch.Tensor) -> None:
    stalks, left = x[:, None].expand(-1, 3, -1).contiguous(), x.new_empty(3, 3)
    given = (stalks, left, x.new_empty(x.size(1), x.size(1)))
    cuda("sheaf_mix").sheaf_mix(*given)
    cuda("sheaf_mix").sheaf_mix_backward(stalks, *given, stalks)


def sheaf_residual(x: torch.Tensor) -> None:
    stalks, epsilon = x[:, None].expand(-1, 3, -1).contiguous(), x.new_empty(3, 1)
    cuda("sheaf_residual").sheaf_residual(stalks, stalks, epsilon)
    cuda("sheaf_residual").sheaf_residual_backward(stalks, stalks, epsilon, stalks)


def sheaf_step(x: torch.Tensor) -> None:
    stalks, epsilon = x[:, None].expand(-1, 3, -1).contiguous(), x.new_empty(3, 1)
    seed = torch.empty((), dtype=torch.int64)
    for sums in (False, True):
        given = (seed, seed, 0.5, sums)
        _, elu, seen, _ = cuda("sheaf_step").sheaf_step(stalks, stalks, epsilon, *given)
        grads = (stalks, seen, stalks)
        cuda("sheaf_step").sheaf_step_backward(stalks, *grads, epsilon, elu, *given)


def scaled_sheaf_laplacian(x: torch.Tensor) -> None:
    ptr, col, *_ = graph()
    stalks = x[:, None].expand(-1, 3, -1).contiguous()
    full, weight = x.new_empty(ENTRIES, 3, 3), x.new_empty(ENTRIES)
    operation = cuda("scaled_sheaf_laplacian")
    for given in ((full[:, 0], None, None), (full, weight, None), (full, None, x[:, 0])):
        maps, *scales = given
        arguments = (ptr, col, col, UNKNOWN, maps, stalks, *scales)
        out, root = operation.scaled_sheaf_laplacian(*arguments)
        operation.scaled_sheaf_laplacian_backward(stalks, *arguments, out, root)


def normal_maps(x: torch.Tensor) -> None:
    ptr, maps = graph()[0], x.new_empty(ENTRIES, 3, 3)
    _, *kept = cuda("normal_maps").normal_maps(ptr, UNKNOWN, maps)
    cuda("normal_maps").normal_maps_backward(maps, ptr, UNKNOWN, maps, *kept)


def sheaf_blocks(x: torch.Tensor) -> None:
    ptr, maps = graph()[0], x.new_empty(ENTRIES, 3, 3)
    out = cuda("sheaf_blocks").sheaf_blocks(ptr, UNKNOWN, maps)
    cuda("sheaf_blocks").sheaf_blocks_backward(out, ptr, UNKNOWN, maps)


def inverse_sqrt(x: torch.Tensor) -> None:
    blocks = x.new_empty(50, 3, 3)
    _, *kept = cuda("inverse_sqrt").inverse_sqrt(blocks)
    cuda("inverse_sqrt").inverse_sqrt_backward(blocks, *kept)


def norm_act(x: torch.Tensor) -> None:
    given = [x.new_empty(x.size(1), dtype=torch.float32) for _ in range(4)]
    number, options = torch.empty((), dtype=torch.int64), (1e-5, True, 0.5)
    for rows in (NODES, 3000, 9000):  # few, twice as many, and many
        x = x.new_empty(rows, x.size(1))
        cuda("norm_act").norm_act_(x, *given, number, x, number, None, given[0], 0.1, *options)
        for valid in (None, number):  # in evaluation, and of a padded batch
            is_padded = valid is not None
            cuda("norm_act").norm_act(x, *given, x, number, valid, None, is_padded, *options)
            ours = (x, x, *given, number, valid, given[0], True, *options, is_padded)
            cuda("norm_act").norm_act_backward(*ours)


def dropout(x: torch.Tensor) -> None:
    cuda("dropout").dropout(x, torch.empty((), dtype=torch.int64), 0.5)


def group_mean(x: torch.Tensor) -> None:
    ptr, col = graph()[0], torch.empty(NODES, dtype=torch.int32)
    cuda("group_mean").group_mean(ptr, col, x)


def residual_mlp(x: torch.Tensor, across: bool, rates: tuple[float, ...], relu: bool) -> None:
    mixed, hidden = x.size(1 if across else 2), 512 if across else 64
    shapes = (x.size(2),), (x.size(2),), (hidden, mixed), (hidden,), (mixed, hidden), (mixed,)
    parameters = [torch.empty(shape) for shape in shapes]
    seeds = tuple(torch.empty((), dtype=torch.int64) for _ in rates)
    options = (across, relu, rates)
    _, stats = cuda("residual_mlp").residual_mlp(seeds, x, *parameters, *options, 1e-5)
    cuda("residual_mlp").residual_mlp_backward(x, seeds, x, *parameters, stats, *options)


def act_dropout(x: torch.Tensor) -> None:
    seed, module = torch.empty((), dtype=torch.int64), cuda("act_dropout")
    for act in ("relu", "elu"):
        module.act_dropout(x, x[0], seed, act, 0.5)
        module.act_dropout_backward(x, x, seed, act, 0.5)


def sparse_linear(x: torch.Tensor) -> None:
    seed, given = torch.empty((), dtype=torch.int64), (graph(), UNKNOWN, x.new_empty(ENTRIES))
    cuda("sparse_linear").sparse_linear(given[0], UNKNOWN, *given[1:], x, x[0], seed, 0.5)
    cuda("sparse_linear").sparse_linear_backward(x, *given, seed, 0.5)


def gat_attention(x: torch.Tensor) -> None:
    seed, heads = torch.empty((), dtype=torch.int64), x[:, None].expand(-1, 4, -1).contiguous()
    given = (graph(), UNKNOWN, heads, heads[0], heads[0], seed)
    out, *kept = cuda("gat_attention").gat_attention(*given, 0.5)
    cuda("gat_attention").gat_attention_backward(out, *given, *kept, 0.5)


def cross_entropy(x: torch.Tensor) -> None:
    y, number = torch.empty(NODES, dtype=torch.int64), torch.empty(())
    cuda("cross_entropy").cross_entropy(x, y, y, None)
    cuda("cross_entropy").cross_entropy_backward(x, number, y, y.int(), number)


def entry_loss(x: torch.Tensor) -> None:
    y, one = x.float(), torch.empty(2)
    for kind in ("bce", "huber", "quantile"):
        cuda("entry_loss").entry_loss(x, y, y[:, 0].int(), kind, 0.5, kind == "bce")
        given = (x, one[0], one, y, None, kind, 0.5, kind == "bce")
        cuda("entry_loss").entry_loss_backward(*given)


OPERATIONS = [
    cross_entropy,
    act_dropout,
    sparse_linear,
    gat_attention,
    dropout,
    spmm,
    gcn_propagate,
    gcn_gated_sum,
    teleport_propagate,
    segment_reduce,
    segment_add,
]
OPERATIONS += [group_mean, embedding_sum, gine_aggregate, gine_dense, directed_propagate]
OPERATIONS += [pna_aggregate, gated_aggregate, activated_sum, gatv2_score]
OPERATIONS += [gcn_bond_aggregate, edge_softmax, norm_act]
# What a compiler makes of registers is its own: these bounds are those of the versions of Triton
# that were measured. Loads are as wide with any.
TRITON = ".".join(triton.__version__.split(".")[:2])
MEASURED = ("3.6", "3.7", "3.8", "3.9")
# Table gradients keep 32 sums per thread and split their inputs in three; full maps hold a matrix.
REGISTERS = {"ragged_attention.": 255}  # tiles of queries, keys and values
REGISTERS |= {"activated_sum._backward_table": 200, "activated_sum.": 128}
REGISTERS |= {"gated_aggregate.": 128, "gatv2_score.": 128}
REGISTERS |= {"pna_aggregate._backward_table": 200, "pna_aggregate.": 128}  # four sums of a row
REGISTERS |= {"_backward_table": 128, "embedding_sum._backward": 128, "sheaf_laplacian._full": 168}
# The factors of products on tensor cores, in three parts: 16 × 128 of them and sums of 32 × 128.
REGISTERS |= {"normal_maps.forward": 128}  # eigenvectors in float64
REGISTERS |= {"residual_mlp._forward": 208, "residual_mlp._backward": 255}
REGISTERS |= {"norm_act._few": 128, "norm_act.": 104}  # of 512 threads, the first
BEYOND = {"3.6": {"edge_softmax._grad_score": 106}}
SPILLED = {  # bytes
    "3.6": {"norm_act._few_gradients": 8},
    "3.7": {"ragged_attention._backward_keys": 16, "activated_sum._forward": 8},
    "3.8": {"residual_mlp._backward": 24, "sheaf_laplacian._diagonal": 8},
    "3.9": {"bonds._backward_x": 8, "normal_maps.forward": 8},
}


def check(compiled: list[Compiled], load_bits: int = 128) -> None:
    assert compiled
    for kernel in compiled:
        assert kernel.load_bits >= load_bits, kernel
    measured()
    bounds = {**REGISTERS, **BEYOND.get(TRITON, {})}
    for kernel in compiled:
        assert kernel.spilled <= SPILLED.get(TRITON, {}).get(kernel.name, 0), kernel
        bound = next((n for part, n in bounds.items() if part in kernel.name), 80)
        assert kernel.registers <= bound, kernel


def measured() -> None:
    if TRITON not in MEASURED:
        known = ", ".join(MEASURED)
        pytest.skip(f"registers and spills were measured with Triton {known}, not with {TRITON}")


# A row of 300 bfloat16, 600 bytes, begins at a multiple of 8 bytes only: no load can be wider.
WIDTHS = [(300, torch.float32, 128), (300, torch.bfloat16, 64), (256, torch.bfloat16, 128)]


@pytest.mark.parametrize(("width", "dtype", "load_bits"), WIDTHS, ids=str)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_wide_rows(operation, width, dtype, load_bits, compiled) -> None:
    operation(torch.empty(NODES, width, dtype=dtype))
    if operation is edge_softmax:  # the other two read rows of four scores
        names = ("edge_softmax._weigh", "edge_softmax._grad_score")
        compiled = [kernel for kernel in compiled if kernel.name in names]
    check(compiled, load_bits)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("width", [64, 128])
def test_narrow_rows(width, dtype, compiled) -> None:
    x = torch.empty(NODES, width, dtype=dtype)
    # The kernels differ in what they do with a tile, not in how it is loaded: two stand for all.
    gcn_propagate(x)
    gine_aggregate(x)
    check(compiled, 64)


@pytest.mark.parametrize("kernel", ["_all_forward", "_all_backward"])
def test_programs_that_wait_for_each_other_release_and_acquire(kernel, monkeypatch, compiled):
    """The compiler leaves out an atomic addition of 0 whose result nobody reads."""
    texts, look = {}, inspect

    def keep(name, asm, file):
        texts[name] = asm["ptx"]
        return look(name, asm, file)

    monkeypatch.setitem(globals(), "inspect", keep)
    gcn_gated_sum(torch.empty(NODES, 7))
    kernel = f"gcn_gated_sum.{kernel}"
    arrives = texts[kernel].index(".global.gpu.release.add")  # atom, or red since Triton 3.9
    assert arrives < texts[kernel].index("ld.volatile.global", arrives)
    assert arrives < texts[kernel].index("ld.global.gpu.acquire", arrives)


def test_numbers_of_one_draw_share_a_compiled_kernel(monkeypatch, compiled) -> None:
    """Every second of them is aligned to 16 bytes, and which one a layer gets is chance."""
    texts = []
    monkeypatch.setitem(globals(), "inspect", lambda name, asm, file: texts.append(asm["ptx"]))
    x, numbers = torch.empty(NODES, 4), torch.empty(2, dtype=torch.int64)
    one = [x.new_empty(4) for _ in range(4)]
    module = cuda("norm_act")
    for number in numbers:
        cuda("dropout").dropout(x, number, 0.5)
        module.norm_act(x, *one, None, number, number, None, True, 1e-5, True, 0.5)
    assert numbers[0].data_ptr() % 16 != numbers[1].data_ptr() % 16
    assert len(texts) == 4 and texts[:2] == texts[2:]


def test_rows_of_seven_classes(compiled) -> None:
    """DAGNN on Cora: with the score 8 numbers, whose rows are aligned though 7 would not be."""
    gcn_gated_sum(torch.empty(NODES, 7))
    check(compiled, 32)
    walks = {kernel.name for kernel in compiled if kernel.load_bits == 128}
    assert walks == {kernel.name for kernel in compiled}  # the first hop walks no entries


def test_hubs_second_launch(compiled, monkeypatch) -> None:
    monkeypatch.setattr("gbench.kernels.cuda.rows.SLOT", 4)
    compile_only = triton.runtime.JITFunction.run

    def compile_merges(kernel, *args, **kwargs):
        if kwargs.get("MERGE"):
            compile_only(kernel, *args, **kwargs)

    monkeypatch.setattr(triton.runtime.JITFunction, "run", compile_merges)
    x = torch.empty(NODES, 300)
    for operation in (spmm, gcn_propagate, gine_aggregate, gcn_bond_aggregate, edge_softmax):
        operation(x)
    sheaf_laplacian(x[:, :32])
    assert {kernel.name.removesuffix(" (merge)") for kernel in compiled} == {
        *("spmm._sum", "spmm_max._maximum", "spmm_max._count", "spmm_max._collect"),
        *("gcn_propagate._hop", "bonds._forward", "bonds._backward_x"),
        *("edge_softmax._exp_sum", "edge_softmax._weigh"),
        *("sheaf_laplacian._diagonal", "sheaf_laplacian._full"),
    }
    check(compiled, 64)


@pytest.mark.parametrize(("width", "dtype"), [(32, torch.float32), (64, torch.bfloat16)], ids=str)
def test_sheaf_laplacian(width, dtype, compiled) -> None:
    sheaf_laplacian(torch.empty(NODES, width, dtype=dtype))
    check(compiled, 32)  # full maps: a warp reads one row of 128 bytes


@pytest.mark.parametrize(("width", "dtype"), [(1, torch.bfloat16), (33, torch.float64)], ids=str)
def test_odd_widths_and_float64(width, dtype, compiled) -> None:
    x = torch.empty(NODES, width, dtype=dtype)
    for operation in (spmm, embedding_sum, gine_aggregate, gcn_gated_sum):
        operation(x)
    measured()
    assert all(kernel.spilled <= 16 for kernel in compiled), compiled


# Steps of sheaf diffusion: their widths are a stalk's or a hidden layer's, 20 on Texas.
SMALL = [entry_loss, householder, pair_tanh, pair_weight, sheaf_mix, sheaf_residual, sheaf_step]
SMALL += [ragged_attention]
SMALL += [scaled_sheaf_laplacian, normal_maps, sheaf_blocks, inverse_sqrt]
SMALL += [pair_conv, pair_gate, pair_softmax, pair_sum]


@pytest.mark.parametrize("width", [20, 64])
@pytest.mark.parametrize("operation", SMALL)
def test_small_operations(operation, width, compiled, monkeypatch) -> None:
    for name in {"sheaf_mix", "sheaf_residual"} & {operation.__name__}:
        monkeypatch.setattr(f"gbench.kernels.cuda.{name}.TILES", 1)  # several sums, added after
    operation(torch.empty(NODES, width))
    check(compiled, 0)


@pytest.mark.parametrize("rates", [(0.0, 0.0, 0.0), (0.5, 0.5, 0.5)], ids=["kept", "dropped"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("across", [True, False], ids=["tokens", "channels"])
def test_residual_mlp(across, dtype, rates, compiled) -> None:
    """A mixer's block of 32 patches in 128 dimensions."""
    residual_mlp(torch.empty(32, 32, 128, dtype=dtype), across, rates, relu=not any(rates))
    check(compiled)


def test_every_operation_is_compiled_here() -> None:
    compiled_here = {operation.__name__ for operation in OPERATIONS + SMALL}
    assert compiled_here | {"sheaf_laplacian", "residual_mlp"} == set(CUDA_OPERATIONS)
