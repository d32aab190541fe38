"""Graph-MLPMixer and Graph ViT against their formulas, patch by patch and head by head."""

from __future__ import annotations

import math
import re

import pytest
import torch
from torch import nn

from gbench.data.spec import DataSpec
from gbench.models.graph_mlp_mixer import GraphMLPMixer

from .conftest import ATOMS, BONDS, PATCHES
from .test_convolutions import DENSE as CONVOLUTIONS
from .test_convolutions import DIM, batch_norm

ATTENTION = ("hadamard", "standard", "graph", "kernel", "additive")
DENSE = DataSpec("graph", 3, 5, pe_dim=2)
MOLECULES = DataSpec("graph", 3, 3, ATOMS, BONDS)
AT_FIRST_NODE = DataSpec("graph", 3, 5, pe_dim=2, reads_first_node=True)


def mixer(spec=DENSE, **changes):
    settings = {
        "conv": "gine", "mixing": "mlp", "hidden_dim": DIM, "num_layers": 3, "num_mixer_layers": 2,
        "num_patches": PATCHES, "hops": 1, "edge_dropout": 0.0, "partition": "metis",
        "patch_pe_steps": 3, "dropout": 0.0, "mixer_dropout": 0.0,
    }  # fmt: skip
    model = GraphMLPMixer(spec, **{**settings, **changes}).double()
    for parameter in model.parameters():
        if parameter.dim() < 2:
            nn.init.normal_(parameter, mean=0.5, std=0.5)
    return model


def under(p, prefix):
    """The parameters below a prefix, without it."""
    start = f"{prefix}."
    return {name[len(start) :]: value for name, value in p.items() if name.startswith(start)}


def linear(x, p, prefix):
    out = x @ p[f"{prefix}.weight"].T
    return out + p[f"{prefix}.bias"] if f"{prefix}.bias" in p else out


def layer_norm(x, p, prefix):
    x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    return x * p[f"{prefix}.weight"] + p[f"{prefix}.bias"]


def lookup(table, codes, sizes):
    starts = [sum(sizes[:k]) for k in range(len(sizes))]
    return sum(table[starts[k] + int(code)] for k, code in enumerate(codes))


def closed_neighbourhoods(batch, part):
    """For each graph and part, its nodes and all that an edge of either direction joins to them."""
    adjacent = torch.eye(batch.num_nodes, dtype=torch.bool)
    source, target = batch.edge_index
    adjacent[source, target] = adjacent[target, source] = True
    part, patches = torch.tensor(part), []
    for b in range(batch.num_graphs):
        for p in range(PATCHES):
            own = (batch.batch == b) & (part == p)
            patches.append(adjacent[:, own].any(1).nonzero()[:, 0].tolist())
    return patches


def dense_encoder(p, model, spec, batch, patches):
    """The copies' vectors at the end of the patch encoder, and the (patch, node) of each."""
    if spec.node_categories is None:
        x = linear(batch.x, p, "encoder.nodes.features")
        pe = linear(batch.pe, p, "encoder.nodes.pe.0")
        x = x + batch_norm(pe, p, "encoder.nodes.pe.1.norm").relu()
    else:
        table = p["encoder.nodes.features.table"]
        x = torch.stack([lookup(table, codes, ATOMS) for codes in batch.x])
    copies = [(patch, node) for patch, nodes in enumerate(patches) for node in nodes]
    place = {copy: c for c, copy in enumerate(copies)}
    pairs, edges = [], []
    for number, (j, i) in enumerate(batch.edge_index.T.tolist()):
        for patch, nodes in enumerate(patches):
            if i in nodes and j in nodes:
                pairs.append((place[patch, j], place[patch, i]))
                if "encoder.edges.table" not in p:
                    edges.append(None)
                elif spec.edge_categories is None:
                    edges.append(p["encoder.edges.table"][0])
                else:
                    codes = batch.edge_combos[batch.edge_code[number].long()]
                    edges.append(lookup(p["encoder.edges.table"], codes, BONDS))
    x = torch.stack([x[node] for _, node in copies])
    conv = CONVOLUTIONS[model]
    for layer in range(3):
        prefix = f"patch_encoder.layers.{layer}"
        if layer > 0:
            context = f"patch_encoder.contexts.{layer - 1}"
            mean = {
                patch: torch.stack([x[place[patch, node]] for node in nodes]).mean(0)
                for patch, nodes in enumerate(patches)
                if nodes
            }
            told = linear(torch.stack([mean[patch] for patch, _ in copies]), p, f"{context}.linear")
            x = x + batch_norm(told, p, f"{context}.norm_act.norm").relu()
            x = torch.stack(
                [
                    torch.stack([x[c] for c, (_, other) in enumerate(copies) if other == node])
                    .mean(0)
                    for _, node in copies
                ]
            )  # fmt: skip
        h = conv(under(p, f"{prefix}.conv"), x, pairs, edges)
        x = x + batch_norm(h, p, f"{prefix}.norm").relu()
        x = linear(x, p, f"patch_encoder.outputs.{layer}")
    return x, copies


def coarse_of(patches, graph):
    own = [set(nodes) for nodes in patches[graph * PATCHES : (graph + 1) * PATCHES]]
    shared = [[len(a & b) for b in own] for a in own]
    return torch.tensor(shared, dtype=torch.float64)


def dense_mixer(p, tokens):
    """Shapes: tokens (P, D) of one graph → (P, D)."""
    for block in range(2):
        q = under(p, f"mixer.blocks.{block}")
        h = layer_norm(tokens, q, "token_norm").T
        h = linear(nn.functional.gelu(linear(h, q, "tokens.first")), q, "tokens.second")
        tokens = tokens + h.T
        h = linear(layer_norm(tokens, q, "channel_norm"), q, "channels.first")
        tokens = tokens + linear(nn.functional.gelu(h), q, "channels.second")
    return layer_norm(tokens, p, "mixer.norm")


def dense_attention(q, mixing, x, coarse, filled):
    """Head by head and patch by patch. Shapes: x (P, D), coarse (P, P) → (P, D)."""
    width, heads = DIM // 8, []
    relation = coarse
    if mixing == "kernel":
        walk = coarse / coarse.sum(1, keepdim=True).clamp(min=1)
        relation = walk @ walk @ walk @ walk @ walk @ walk @ walk @ walk
    query, key, value = (linear(x, q, name) for name in ("query", "key", "value"))
    for h in range(8):
        own, rows = slice(h * width, (h + 1) * width), []
        for i in range(PATCHES):
            scores = torch.stack(
                [(query[i, own] * key[j, own]).sum() / math.sqrt(width) for j in filled]
            )
            related = relation[i, filled]
            if mixing == "additive":
                scores = scores + q["bias.weight"][h, 0] * related + q["bias.bias"][h]
            weight = (scores - scores.max()).exp()
            if mixing in ("graph", "kernel"):
                weight = weight * related
                weight = weight / weight.sum().clamp(min=1e-6)
            else:
                weight = weight / weight.sum()
            if mixing == "hadamard":
                weight = weight * related
            rows.append(weight @ value[filled][:, own])
        heads.append(torch.stack(rows))
    return linear(torch.cat(heads, 1), q, "output")


def dense_vit(p, mixing, tokens, coarse, filled):
    for block in range(2):
        q = under(p, f"mixer.blocks.{block}")
        h = layer_norm(tokens, q, "attention_norm")
        tokens = tokens + dense_attention(under(q, "attention"), mixing, h, coarse, filled)
        h = linear(layer_norm(tokens, q, "norm"), q, "first").relu()
        tokens = tokens + linear(h, q, "second")
    return tokens


def dense_model(p, spec, conv, mixing, batch, part):
    patches = closed_neighbourhoods(batch, part)
    x, copies = dense_encoder(p, conv, spec, batch, patches)
    tokens = torch.zeros(len(patches), DIM, dtype=torch.float64)
    for patch, nodes in enumerate(patches):
        if nodes:
            own = torch.stack([x[c] for c, (q, _) in enumerate(copies) if q == patch])
            tokens = torch.cat([tokens[:patch], own.mean(0)[None], tokens[patch + 1 :]])
    coarse = [coarse_of(patches, b) for b in range(batch.num_graphs)]
    walks = []
    for matrix in coarse:
        walk = matrix / matrix.sum(1, keepdim=True).clamp(min=1)
        walks.append(torch.stack([walk.diag(), (walk @ walk).diag(), (walk @ walk @ walk).diag()]))
    pe = linear(torch.cat([walk.T for walk in walks]), p, "patch_pe.0")
    tokens = tokens + batch_norm(pe, p, "patch_pe.1.norm").relu()
    graphs = []
    for b in range(batch.num_graphs):
        own = tokens[b * PATCHES : (b + 1) * PATCHES]
        filled = [i for i in range(PATCHES) if patches[b * PATCHES + i]]
        if mixing == "mlp":
            own = dense_mixer(p, own)
        else:
            own = dense_vit(p, mixing, own, coarse[b], filled)
        if not spec.reads_first_node:
            graphs.append(own[filled].mean(0))
            continue
        root = int(batch.node_ptr[b])
        both = [
            torch.cat([x[c], own[patch - b * PATCHES]])
            for c, (patch, node) in enumerate(copies)
            if node == root
        ]
        graphs.append(torch.stack(both).mean(0))
    h = batch_norm(linear(torch.stack(graphs), p, "head.0"), p, "head.1.norm").relu()
    return linear(h, p, "head.2")


def felt(p):
    """Without what a norm or softmax takes away: shifts of a whole token, or of all of a row."""
    cancelled = re.compile(
        r"mixer\.blocks\.\d\.(tokens\.second\.bias|attention\.(key\.bias|bias\.bias))"
    )
    return {name: value for name, value in p.items() if not cancelled.fullmatch(name)}


CASES = [(conv, "mlp", DENSE) for conv in ("gine", "gcn", "gated-gcn")]
CASES += [(conv, "mlp", MOLECULES) for conv in ("gine", "transformer")]
CASES += [("gine", "mlp", AT_FIRST_NODE), ("gine", "hadamard", AT_FIRST_NODE)]
CASES += [("gine", mixing, MOLECULES) for mixing in ATTENTION]
SPECS = {DENSE: "dense", MOLECULES: "molecules", AT_FIRST_NODE: "first-node"}


@pytest.mark.parametrize(
    ("conv", "mixing", "spec"), CASES, ids=[f"{c}-{m}-{SPECS[s]}" for c, m, s in CASES]
)
def test_the_model_equals_the_dense_formula(
    conv, mixing, spec, cut_batch, same_outputs_and_gradients
):
    batch, part = cut_batch(None if spec is MOLECULES else 5, spec.pe_dim)
    model = mixer(spec, conv=conv, mixing=mixing)
    p = dict(model.named_parameters())
    expected = dense_model(p, spec, conv, mixing, batch, part)
    same_outputs_and_gradients(model(batch), expected, felt(p))
