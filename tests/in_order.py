"""A step that would give other bits each time on a GPU is refused, on any machine."""

from __future__ import annotations

import torch
from torch.utils._python_dispatch import TorchDispatchMode

# What torch.use_deterministic_algorithms lists, of a GPU: sums in an order that it chooses, and
# attention whose backward makes such. Other operations of torch have one order.
DISORDERED = ("scatter", "index_reduce", "put_", "put.", "histc", "kthvalue")
DISORDERED += ("_embedding_bag", "_scaled_dot_product", "grid_sampler", "upsample", "nll_loss2d")
DISORDERED += ("_ctc_loss", "max_unpool", "adaptive_", "reflection_pad", "replication_pad")


class InOrder(TorchDispatchMode):
    """Refuses what would give other bits each time on a GPU.

    gbench's own operations are looked into by tests/kernels/test_order_of_sums.py.
    """

    def __torch_dispatch__(self, op, types, args=(), kwargs=None):
        name = str(op).removeprefix("aten.")
        assert not name.startswith(DISORDERED), name
        if name.startswith(("index_add", "index_copy")):  # one row to each place: nothing is summed
            assert args[2].unique().numel() == args[2].numel(), name
        elif name.startswith(("index_put", "_index_put")):  # what accumulates is sorted first
            index = torch.stack(torch.broadcast_tensors(*(i for i in args[1] if i is not None)))
            is_one_each = index.unique(dim=1).size(1) == index.flatten(1).size(1)
            assert is_one_each or (len(args) > 3 and args[3]), name
        elif name.startswith("cumsum"):
            assert not args[0].is_floating_point(), name
        elif name.startswith("bincount"):  # of integers, without weights
            assert len(args) < 2 or args[1] is None, name
        return op(*args, **(kwargs or {}))
