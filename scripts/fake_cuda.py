"""A CUDA device that runs nothing: code believes that it is on a GPU, and what it starts is noted.

A tensor "on the device" wraps one on the CPU and says of itself that it is CUDA's, so that every
branch of the code is that of a GPU; torch computes its values on the CPU. Triton finds a driver for
sm_90 whose compiler returns at once and whose kernels do nothing. What is noted:

    launches   Triton's and torch's: an ATen operation is one, a view or an allocation none, an
               operation on lists of tensors as many as torch's multi_tensor_apply makes of it
    waits      operations for which the host waits for the device, with the line that asked
    variants   Triton's compilations

Tensors of different devices in one operation raise RuntimeError, as they do on a GPU.

Not modelled: operations that are several launches by their sizes (sort, index_put_ that adds up,
products with a split inner dimension, sums over very many numbers) count once; memory that a Triton
kernel should have written is zero; a copy from pageable memory with non_blocking=True is taken not
to wait.

A process that has entered `on_fake_cuda` should do nothing else: Triton keeps its stubs.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
import triton
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map
from triton.backends.compiler import GPUTarget

HERE = Path(__file__).resolve().parent.parent
DEVICE = torch.device("cuda", 0)
aten = torch.ops.aten

# Neither views nor allocations by their schema, and free all the same.
FREE = {
    "_reshape_alias", "_unsafe_view", "alias", "detach", "detach_", "empty", "empty_like",
    "empty_permuted", "empty_strided", "lift", "lift_fresh", "new_empty", "new_empty_strided",
    "record_stream", "set_",
}  # fmt: skip
ALLOCATIONS = {"empty", "empty_like", "empty_permuted", "empty_strided", "new_empty",
               "new_empty_strided"}  # fmt: skip
WAITS = {
    "_linalg_check_errors", "_linalg_eigh", "_linalg_eigvals", "_linalg_svd", "_local_scalar_dense",
    "_unique", "_unique2", "bincount", "equal", "is_nonzero", "linalg_eig", "linalg_lstsq",
    "linalg_matrix_exp", "masked_select", "nonzero", "unique_consecutive", "unique_dim",
}  # fmt: skip
# Operations that are several kernels each time, as pytorch/aten/src/ATen/native has them.
SEVERAL = {
    "binary_cross_entropy_with_logits": 4,  # (1 - y) x - log sigmoid(x); a mean is one more
    "index_add": 2,  # a copy first
    "index_copy": 2,
    "index_put": 2,
    "masked_fill": 2,
    "native_layer_norm_backward": 2,  # of the rows and of the parameters
    "nll_loss_backward": 2,  # zeros first
    "scatter": 2,
    "scatter_add": 2,
}

# multi_tensor_apply: tensors of one launch by the number of lists, blocks of one launch, elements
# of a block (pytorch/aten/src/ATen/native/cuda/MultiTensorApply.cuh, 4 KB of kernel arguments).
TENSORS, BLOCKS, CHUNK = (110, 64, 48, 36, 30), 320, 65536


@dataclass
class Notes:
    """What the device was asked for since `clear`; `variants` since the beginning."""

    launches: Counter[str] = field(default_factory=Counter)
    waits: list[str] = field(default_factory=list)
    variants: list[str] = field(default_factory=list)

    def clear(self) -> None:
        self.launches.clear()
        self.waits.clear()

    def wait(self, what: str) -> None:
        self.waits.append(f"{what} at {_place()}")


NOTES = Notes()


def _place() -> str:
    """The innermost line of gbench that is running, as gbench/train/task.py:12."""
    frame, outside = sys._getframe(), ""
    while frame is not None:
        name, is_inside = _named(frame.f_code.co_filename)
        if is_inside:
            return f"{name}:{frame.f_lineno}"
        if not outside and name != Path(__file__).name:
            outside = f"{name}:{frame.f_lineno}"
        frame = frame.f_back
    return outside


@cache
def _named(file: str) -> tuple[str, bool]:
    """What a file is called here, and whether it is one of gbench's."""
    path = Path(file)
    inside = path.is_relative_to(HERE) and path.name != Path(__file__).name
    if not inside or {".venv", "scripts"} & {*path.relative_to(HERE).parts}:
        return path.name, False
    name = path.relative_to(HERE)
    return str(
        name if name.parts[0] == "gbench" else Path("gbench", name)
    ), True  # kernels/ is linked


# --- tensors -----------------------------------------------------------------------------------


class OnDevice(torch.Tensor):
    """A tensor on the device; its values are those of `inner`, which is on the CPU."""

    inner: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls: type[OnDevice], inner: Tensor) -> OnDevice:
        made: OnDevice = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            layout=inner.layout,
        )
        made.inner = inner
        return made

    device = property(lambda self: DEVICE)
    is_cuda = property(lambda self: True)
    is_cpu = property(lambda self: False)

    def get_device(self) -> int:
        return 0

    def data_ptr(self) -> int:
        return self.inner.data_ptr()

    def tolist(self) -> Any:
        NOTES.wait("tolist")
        return self.inner.tolist()

    def numpy(self, **_: Any) -> Any:
        raise TypeError("can't convert a CUDA tensor to numpy: use .cpu() first")

    def __array__(self, *_: Any) -> Any:
        return self.numpy()

    def __repr__(self, **_: Any) -> str:
        return f"{self.inner!r} on {DEVICE}"

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        return _call(func, args, kwargs or {})


def _call(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run an operation of which an argument is on the device."""
    name = func._schema.name.partition("::")[2]
    if func.namespace == "gbench":
        from gbench.kernels.library import file_of

        module = import_module(f"gbench.kernels.cuda.{file_of(name)}")
        return getattr(module, name)(*args, **kwargs)
    _check_devices(name, args, kwargs)
    _note(func, name, args, kwargs)
    wrappers: dict[int, OnDevice] = {}

    def bare(value: Any) -> Any:
        if isinstance(value, OnDevice):
            wrappers[id(value.inner)] = value
            return value.inner
        return value

    def wrapped(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        if name in ALLOCATIONS:
            value.zero_()
        elif not func.is_view and value.is_floating_point():
            value.nan_to_num_(0.0, 0.0, 0.0)  # of the zeros that stand for Triton's results
        same = wrappers.get(id(value))  # which was written in place
        return OnDevice(value) if same is None else same

    out = func(*tree_map(bare, args), **tree_map(bare, kwargs))
    return tree_map(wrapped, out)


def _tensors(values: Any) -> list[Tensor]:
    """The tensors among arguments, those in lists as well."""
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += _tensors(value)
    return found


def _check_devices(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Raise for a tensor of the CPU beside one of the device, unless it is a single number."""
    strangers = [
        tensor
        for tensor in _tensors((*args, *kwargs.values()))
        if not isinstance(tensor, OnDevice) and tensor.dim()
    ]
    if not strangers:
        return
    if name in ("index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"):
        NOTES.wait(f"copy of an index from the CPU ({name})")
    elif name in ("copy_", "copy"):
        is_blocking = not (kwargs.get("non_blocking") or (len(args) > 2 and args[2]))
        if is_blocking:
            NOTES.wait("copy between devices")
    else:
        raise RuntimeError(
            f"Expected all tensors to be on the same device: {name} got tensors on cpu and {DEVICE}"
        )


def _note(func: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    if name in WAITS:
        NOTES.wait(name)
    elif name == "repeat_interleave" and kwargs.get("output_size") is None:
        NOTES.wait("repeat_interleave without output_size")
    elif name in ("index", "index_put", "index_put_", "_index_put_impl_"):
        masks = [index for index in args[1] if index is not None and index.dtype is torch.bool]
        is_fill = name != "index" and args[2].numel() == 1  # torch fills where the mask is
        if masks and not is_fill:
            NOTES.wait(f"a mask as index ({name})")
    if name.startswith(("_foreach_", "_fused_")):
        lists = [each for each in args if isinstance(each, list | tuple) and _tensors(each)]
        is_new = not name.endswith("_")
        if name.startswith("_fused_"):  # the lists that are empty or hold steps are no operands
            lists = [each for each in lists if each[0].dim()] or lists[:1]
            lists = lists[: 5 if len(lists) > 4 else 4]
        NOTES.launches[name] += multi_tensor_launches(lists[0], min(5, len(lists) + is_new))
    elif not (func.is_view or name in FREE):
        NOTES.launches[name] += SEVERAL.get(name, 1)


def multi_tensor_launches(tensors: Sequence[Tensor], depth: int) -> int:
    """How many kernels torch's multi_tensor_apply starts for `depth` lists like this one."""
    launches = held = blocks = 0
    for tensor in tensors:
        if not tensor.numel():
            continue
        held += 1
        chunks = -(-tensor.numel() // CHUNK)
        for chunk in range(chunks):
            blocks += 1
            is_last = chunk == chunks - 1
            if blocks == BLOCKS or (is_last and held == TENSORS[depth - 1]):
                launches, blocks, held = launches + 1, 0, 0 if is_last else 1
    return launches + (blocks > 0)


# --- what moves and makes tensors --------------------------------------------------------------


def _is_device(device: Any) -> bool:
    return device is not None and torch.device(device).type == "cuda"


def _place_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, list[Any], dict]:
    """What Tensor.to was told: the device, and the arguments without it."""
    rest, others = list(args), dict(kwargs)
    device = others.pop("device", None)
    if rest and isinstance(rest[0], str | torch.device | int) and not isinstance(rest[0], bool):
        device = rest.pop(0)
    elif rest and isinstance(rest[0], Tensor):
        like = rest.pop(0)
        device, others["dtype"] = like.device, like.dtype
    if isinstance(device, int):
        device = torch.device("cuda", device)
    return device, rest, others


def _moved(x: Tensor, device: Any, non_blocking: bool) -> Tensor:
    """X on a device, from the other one."""
    NOTES.launches["copy between devices"] += 1
    if not non_blocking:
        NOTES.wait(f"copy to {torch.device(device).type}")
    return OnDevice(x.detach()) if _is_device(device) else x.inner.detach().clone()


def _dropout(x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """One kernel on a GPU, three on a CPU."""
    return torch.native_dropout(x, p, True)[0] if training and p else x


class Moves(TorchFunctionMode):
    """Serves every call that names a device."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is Tensor.to:
            return self._to(args[0], args[1:], kwargs)
        if func is Tensor.cuda:
            return self._to(args[0], (DEVICE,), kwargs)
        if func is Tensor.cpu:
            return self._to(args[0], ("cpu",), kwargs)
        if func is Tensor.pin_memory:
            return args[0]
        if func is F.dropout and isinstance(args[0], OnDevice):
            return _dropout(*args, **kwargs)
        if kwargs.get("pin_memory"):
            kwargs = {**kwargs, "pin_memory": False}
        if not _is_device(kwargs.get("device")):
            return func(*args, **kwargs)
        out = func(*args, **{**kwargs, "device": None if _tensors(args[:1]) else "cpu"})
        if not isinstance(out, Tensor) or isinstance(out, OnDevice):
            return out
        name = getattr(func, "__name__", "factory")
        if name in ("tensor", "as_tensor", "from_numpy"):
            return _moved(out, DEVICE, non_blocking=False)
        if name not in FREE:
            NOTES.launches[name] += 1
        return OnDevice(out)

    def _to(self, x: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        device, rest, others = _place_of(args, kwargs)
        if device is not None and _is_device(device) != isinstance(x, OnDevice):
            blocks = not (others.get("non_blocking") or any(each is True for each in rest[:2]))
            x = _moved(x, device, not blocks)
        others.pop("non_blocking", None)
        rest = [each for each in rest if isinstance(each, torch.dtype)]
        return Tensor.to(x, *rest, **others) if rest or others else x


# --- Triton ------------------------------------------------------------------------------------


class Driver:
    """As much of a driver as a launch asks for."""

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", 90, 32)

    def __init__(self, device: int) -> None:
        self.device = device

    def get_current_device(self) -> int:
        return self.device

    def get_current_stream(self, device: int) -> int:
        return 0


class Stub:
    """A compiled kernel whose launch is noted, if that is wanted, and is nothing else."""

    function, packed_metadata = 0, ()

    def __init__(self, name: str) -> None:
        self.name = name

    def launch_metadata(self, *_: Any) -> None:
        return None

    def run(self, *_: Any) -> None:
        NOTES.launches[self.name] += 1


def compiled(source: Any, *_: Any, **__: Any) -> Stub:
    """What Triton's compiler is replaced by."""
    kernel = source.fn
    name = f"{kernel.module.rpartition('.')[2]}.{kernel.fn.__name__}"
    NOTES.variants.append(name)
    return Stub(name)


DEVICES = count(2)  # for each block one that nothing has been compiled for


def stub_triton() -> None:
    """Compile and launch nothing from here on, in this process."""
    triton.runtime.driver.set_active(Driver(-next(DEVICES)))
    triton.compiler.compile = compiled


# --- torch.cuda --------------------------------------------------------------------------------

PROPERTIES = SimpleNamespace(
    name="H100, imagined", major=9, minor=0, multi_processor_count=132, total_memory=80 * 2**30,
    L2_cache_size=50 * 2**20, warp_size=32,
)  # fmt: skip
CUDA: dict[str, Callable[..., Any]] = {
    "current_device": lambda: 0,
    "device": lambda *_: nullcontext(),
    "device_of": lambda _: nullcontext(),
    "get_device_capability": lambda *_: (9, 0),
    "get_device_properties": lambda *_: PROPERTIES,
    "is_current_stream_capturing": lambda: False,
    "mem_get_info": lambda *_: (PROPERTIES.total_memory, PROPERTIES.total_memory),
    "synchronize": lambda *_: NOTES.wait("synchronize"),
}


def _grouped(group: Callable[..., Any]) -> Callable[..., Any]:
    """Torch's optimizers and clipping group tensors by a device that they read below Python."""

    def by_device(lists: Any, *args: Any, **kwargs: Any) -> Any:
        groups = group(lists, *args, **kwargs)
        if any(isinstance(tensor, OnDevice) for each in lists for tensor in each):
            return {(DEVICE, dtype): value for (_, dtype), value in groups.items()}
        return groups

    return by_device


@contextmanager
def on_fake_cuda() -> Iterator[Notes]:
    """Within the block `cuda` is the imagined device."""
    stub_triton()
    grouping = [
        import_module(f"torch.{name}") for name in ("optim.optimizer", "nn.utils.clip_grad")
    ]
    with ExitStack() as stack:
        for name, function in CUDA.items():
            stack.enter_context(mock.patch.object(torch.cuda, name, function))
        name = "_group_tensors_by_device_and_dtype"
        for module in grouping:
            if hasattr(module, name):
                grouped = _grouped(getattr(module, name))
                stack.enter_context(mock.patch.object(module, name, grouped))
        # a module's parameters become tensors of another class
        before = torch.__future__.get_overwrite_module_params_on_conversion()
        stack.callback(torch.__future__.set_overwrite_module_params_on_conversion, before)
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        stack.enter_context(Moves())
        yield NOTES
