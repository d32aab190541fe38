"""Graph-MLPMixer: He et al., "A Generalization of ViT/MLP-Mixer to Graphs", ICML 2023.

Legend: B graphs with P patches each, N nodes, C copies of nodes, D hidden_dim, S random walk steps.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gbench.data.batch import Batch
from gbench.data.patches.patch_set import Patches, Patching
from gbench.data.spec import DataSpec
from gbench.errors import UserError
from gbench.kernels import residual_mlp, segment_reduce, spmm
from gbench.models.convolutions import Head, InputEncoder
from gbench.models.dense import Dense
from gbench.models.graph_vit import GraphViT
from gbench.models.norm_act import NormAct
from gbench.models.patch_encoder import PatchEncoder


class MixerMLP(nn.Module):
    """x + W' drop(gelu(W drop(norm(x)) + b)) + b', of features or, across, of a graph's patches.

    Shapes: x (B, P, D) → the same; dim = D or P.
    """

    def __init__(self, dim: int, inner_dim: int, *, across: bool, dropout: float) -> None:
        super().__init__()
        self.first = Dense(dim, inner_dim)
        self.second = Dense(inner_dim, dim)
        self.across = across
        self.rates = (dropout, dropout, 0.0)

    def forward(self, x: Tensor, norm: nn.LayerNorm) -> Tensor:
        return residual_mlp(x, norm, self.first, self.second, across=self.across, rates=self.rates)


class MixerBlock(nn.Module):
    """U = X + MLP(LN(X)ᵀ)ᵀ over the patches, inner width 4 D; U + MLP(LN(U)), inner width D / 2.

    Empty patches take part.

    Shapes: x (B, P, D) → (B, P, D).
    """

    def __init__(self, dim: int, num_patches: int, *, dropout: float) -> None:
        super().__init__()
        self.token_norm = nn.LayerNorm(dim)
        self.tokens = MixerMLP(num_patches, 4 * dim, across=True, dropout=dropout)
        self.channel_norm = nn.LayerNorm(dim)
        self.channels = MixerMLP(dim, dim // 2, across=False, dropout=dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.tokens(x, self.token_norm)
        out: Tensor = self.channels(x, self.channel_norm)
        return out


class Mixer(nn.Module):
    """MixerBlocks, then a layer norm. Shapes: x (B, P, D) → (B, P, D)."""

    def __init__(self, dim: int, num_patches: int, *, num_layers: int, dropout: float) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            MixerBlock(dim, num_patches, dropout=dropout) for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor, patches: Patches) -> Tensor:
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.norm(x)
        return out


class GraphMLPMixer(nn.Module):
    """A GNN within each patch, then an MLP-Mixer or transformer over the patches of each graph.

    A patch's token is the mean of its nodes + relu(batch_norm(W rw)), rw the return probabilities
    of random walks on the coarse matrix. After mixing, logits = head(mean of the non-empty tokens).
    Where a graph's answer is read from its first node, head([x ‖ token]) takes the mean of that
    node's copies and of the tokens of their patches.

    Shapes: nodes → x (N, D) → copies (C, D) → tokens (B, P, D) → (B, D) → (B, classes).
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        conv: str,
        mixing: str,
        hidden_dim: int,
        num_layers: int,
        num_mixer_layers: int,
        num_patches: int,
        hops: int,
        edge_dropout: float,
        partition: str,
        patch_pe_steps: int,
        dropout: float,
        mixer_dropout: float,
    ) -> None:
        super().__init__()
        if hidden_dim < 2:
            raise UserError(f"model.hidden_dim={hidden_dim}: half of it is a width, take 2 or more")
        self.patching = Patching(num_patches, hops, edge_dropout, partition, patch_pe_steps)
        self.reads_first_node = spec.reads_first_node
        self.encoder = InputEncoder(spec, conv, hidden_dim)
        self.patch_encoder = PatchEncoder(conv, hidden_dim, num_layers=num_layers, dropout=dropout)
        self.patch_pe_steps = patch_pe_steps
        if patch_pe_steps:
            self.patch_pe = nn.Sequential(
                Dense(patch_pe_steps, hidden_dim, bias=False),
                NormAct(hidden_dim, norm=True, relu=True, dropout=0.0),
            )
        self.mixer: nn.Module
        if mixing == "mlp":
            self.contracts = {"padding": "an MLP over patches has weights for each place"}
            self.mixer = Mixer(
                hidden_dim, num_patches, num_layers=num_mixer_layers, dropout=mixer_dropout
            )
        else:
            self.mixer = GraphViT(
                mixing, hidden_dim, num_layers=num_mixer_layers, dropout=mixer_dropout
            )
        self.head = Head((1 + spec.reads_first_node) * hidden_dim, spec.num_outputs)

    def forward(self, batch: Batch) -> Tensor:
        assert batch.patches is not None
        patches = batch.patches
        copies = self.patch_encoder(batch, *self.encoder(batch))
        members = patches.members
        tokens = segment_reduce(members.rowptr, copies, "mean", members.longest)
        if self.patch_pe_steps:
            linear, norm_act = self.patch_pe
            walks = self._walks(patches).flatten(0, 1)
            tokens = norm_act(linear(walks.to(tokens.dtype)), tokens)
        tokens = self.mixer(tokens.unflatten(0, patches.coarse.shape[:2]), patches)
        out: Tensor = self.head(self._read(batch, patches, copies, tokens))
        return out

    def _walks(self, patches: Patches) -> Tensor:
        """Those that were made with the patches, where these were cut for this model."""
        if patches.walks is not None:
            return patches.walks
        with torch.autocast(patches.coarse.device.type, enabled=False):
            return patches.random_walk(self.patch_pe_steps)

    def _read(self, batch: Batch, patches: Patches, copies: Tensor, tokens: Tensor) -> Tensor:
        """Shapes: copies (C, D), tokens (B, P, D) → (B, D), or (B, 2 D) from the first nodes."""
        if not self.reads_first_node:
            filled = patches.filled.to(tokens.dtype)
            total: Tensor = torch.einsum("bpd,bp->bd", tokens, filled)
            return total / filled.sum(1, keepdim=True)
        of_copies = spmm(patches.copies, copies, reduce="mean")
        of_patches = spmm(patches.members.t, tokens.flatten(0, 1), reduce="mean")
        return torch.cat([of_copies, of_patches], 1).index_select(0, batch.node_ptr[:-1])
