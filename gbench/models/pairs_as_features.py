"""Values of pairs of nodes for a model that passes messages: of a node with itself, and of edges.

Legend: N nodes, E edges, K values of a pair, K_pe columns of an encoding, F numbers of an edge.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from gbench.data.batch import Batch
from gbench.data.spec import DataSpec
from gbench.models.pair_features import entries_of, own_values


def pairs_as_features(spec: DataSpec) -> DataSpec:
    """The spec for a batch of `with_pairs_as_features`."""
    pe_dim, edge_dim = spec.pe_dim + spec.pair_dim, spec.edge_dim + spec.pair_dim
    return replace(spec, pe_dim=pe_dim, edge_dim=edge_dim, pair_dim=0)


def with_pairs_as_features(batch: Batch) -> Batch:
    """The batch with values of pairs where GRIT's sparse forms have them (Ma et al., ICML 2023).

    Those of [i, i] are the last columns of node i's encoding, pe (N, K_pe + K), those of [i, j] the
    last numbers of each edge j → i, edge_attr (E, F + K). All other pairs are left out.
    """
    assert batch.pairs is not None
    own, of_edges = own_values(batch), batch.pairs.index_select(0, entries_of(batch))
    return replace(
        batch,
        pe=own if batch.pe is None else torch.cat([batch.pe, own], 1),
        edge_attr=of_edges
        if batch.edge_attr is None
        else torch.cat([batch.edge_attr, of_edges], 1),
        pairs=None,
        pair_ptr=None,
    )
