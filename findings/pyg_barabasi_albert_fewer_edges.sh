#!/usr/bin/env bash
# torch-geometric 2.8.1: barabasi_albert_graph attaches new nodes by fewer edges than it is asked for.
#
# The model of Barabasi and Albert joins each new node to m different nodes. Here m ends are drawn with replacement, from
# a list in which the new node itself stands already; repeated ends and self-loops are merged away afterwards. The graph
# is sparser than m (n - m) edges and nodes of degree below m occur, which the model cannot make; networkx's has neither.
#
# Seen: n = 1000, m = 5: fewer than 4,950 of 4,975 edges and nodes of degree below 5, for each of ten seeds; networkx
# 4,975 edges, smallest degree 5.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet torch==2.13.0 torch-geometric==2.8.1 networkx==3.6.1
"$folder/env/bin/python" - <<'PY'
import networkx
import numpy
import torch
from torch_geometric.utils import barabasi_albert_graph, degree

n, m = 1000, 5
for seed in range(10):
    torch.manual_seed(seed)
    numpy.random.seed(seed)
    edges = barabasi_albert_graph(n, m)
    number, least = edges.size(1) // 2, int(degree(edges[0], n)[m:].min())
    print(seed, number, least)
    assert number < 4950 and least < m, "the behaviour has changed"
model = networkx.barabasi_albert_graph(n, m, seed=0)
assert model.number_of_edges() == m * (n - m) and min(dict(model.degree).values()) == m
PY
