"""From the nodes of overlapping patches to one vector per patch (He et al., ICML 2023).

Legend: B graphs with P patches each, N nodes, C copies of nodes in patches, D hidden_dim.
"""

from __future__ import annotations

from torch import Tensor, nn

from gbench.data.batch import Batch
from gbench.kernels import group_mean, library, segment_reduce, spmm
from gbench.models.convolutions import ResidualLayer
from gbench.models.dense import Dense
from gbench.models.entries import of_columns, of_rows
from gbench.models.norm_act import NormAct


class PatchContext(nn.Module):
    """x_c + relu(batch_norm(W m_p)), m_p the mean of the patch that c is in, then node by node.

    The copies of a node end with their mean: what one patch told it, all hear.

    Shapes: x (C, D) → (C, D).
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.linear = Dense(dim, dim, bias=False)
        self.norm_act = NormAct(dim, norm=True, relu=True, dropout=0.0)

    def forward(self, batch: Batch, x: Tensor) -> Tensor:
        assert batch.patches is not None
        members = batch.patches.members
        # W has no bias and commutes with copying; the norm's statistics are those of the copies
        mean = self.linear(segment_reduce(members.rowptr, x, "mean", members.longest))
        told = self.norm_act(of_rows(members, mean), x)
        if library.has_kernel("group_mean", told):
            return group_mean(members.rowptr_t, members.perm_t, told)
        return of_columns(members, spmm(batch.patches.copies, told, reduce="mean"))


class PatchEncoder(nn.Module):
    """num_layers times x ← O (x + dropout(relu(batch_norm(conv(x))))) + b within each patch.

    Between two layers the copies of each node are told of their patches and averaged.

    Shapes: nodes → x (N, D) → copies (C, D).
    """

    def __init__(self, conv: str, dim: int, *, num_layers: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            ResidualLayer(conv, dim, dropout=dropout) for _ in range(num_layers)
        )
        self.outputs = nn.ModuleList(Dense(dim, dim) for _ in range(num_layers))
        self.contexts = nn.ModuleList(PatchContext(dim) for _ in range(num_layers - 1))

    def forward(self, batch: Batch, x: Tensor, edges: tuple[Tensor, ...]) -> Tensor:
        assert batch.patches is not None
        patches = batch.patches
        if edges:
            table, code = edges
            edges = (table, code.index_select(0, patches.edge))
        copies = of_columns(patches.members, x)
        for index, (layer, output) in enumerate(zip(self.layers, self.outputs, strict=True)):
            if index > 0:
                copies = self.contexts[index - 1](batch, copies)
            copies = output(layer(patches.graph, copies, edges))
        return copies
