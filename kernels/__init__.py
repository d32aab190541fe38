"""Fused aggregation for graph neural networks: see each operation's file."""

from gbench.kernels.csr import CSR
from gbench.kernels.directed_propagate import directed_propagate
from gbench.kernels.edge_softmax import edge_softmax
from gbench.kernels.embedding_sum import embedding_sum
from gbench.kernels.gcn_bond_aggregate import gcn_bond_aggregate
from gbench.kernels.gcn_gated_sum import gcn_gated_sum
from gbench.kernels.gcn_propagate import gcn_propagate
from gbench.kernels.gine_aggregate import gine_aggregate
from gbench.kernels.gine_dense import gine_dense
from gbench.kernels.group_mean import group_mean
from gbench.kernels.norm_act import norm_act
from gbench.kernels.pair_conv import pair_conv
from gbench.kernels.pair_gate import pair_gate
from gbench.kernels.pair_softmax import pair_softmax
from gbench.kernels.pair_sum import pair_sum
from gbench.kernels.pairs import Pairs
from gbench.kernels.pna_aggregate import pna_aggregate
from gbench.kernels.ragged_attention import ragged_attention
from gbench.kernels.residual_mlp import residual_mlp
from gbench.kernels.segment_add import segment_add
from gbench.kernels.segment_reduce import segment_reduce
from gbench.kernels.sheaf_laplacian import sheaf_laplacian
from gbench.kernels.spmm import spmm
from gbench.kernels.teleport_propagate import teleport_propagate

__all__ = [
    "CSR",
    "Pairs",
    "directed_propagate",
    "edge_softmax",
    "embedding_sum",
    "gcn_bond_aggregate",
    "gcn_gated_sum",
    "gcn_propagate",
    "gine_aggregate",
    "gine_dense",
    "group_mean",
    "norm_act",
    "pair_conv",
    "pair_gate",
    "pair_softmax",
    "pair_sum",
    "pna_aggregate",
    "ragged_attention",
    "residual_mlp",
    "segment_add",
    "segment_reduce",
    "sheaf_laplacian",
    "spmm",
    "teleport_propagate",
]
