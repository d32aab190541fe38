#!/usr/bin/env bash
# ogb 1.3.6 and torch-geometric 2.8.1: one molecule, written in two ways, has other features, the chirality of its atoms.
#
# smiles2graph and from_smiles give each atom RDKit's chiral tag, clockwise or counter-clockwise. That tag is about the order
# in which the neighbours were written and not about the molecule (its R or S). To a network that takes neighbours in no
# order the tag is noise: the graph of one enantiomer from one dataset is that of the other one from the next, and a search for
# duplicates by features does not find the two spellings of one molecule.
#
# Seen: L-alanine as C[C@H](N)C(=O)O and as N[C@@H](C)C(=O)O: one canonical SMILES, chirality 2 and 1; D-alanine written
# as the second is written, N[C@H](C)C(=O)O, has the features of the first.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet torch==2.13.0 torch-geometric==2.8.1 ogb==1.3.6 rdkit==2026.9.1 "setuptools<81"
PYTHONWARNINGS=ignore "$folder/env/bin/python" - <<'PY'
from ogb.utils import smiles2graph
from rdkit import Chem
from torch_geometric.utils import from_smiles

left, left_again, right = "C[C@H](N)C(=O)O", "N[C@@H](C)C(=O)O", "N[C@H](C)C(=O)O"


def atoms(features):
    return sorted(map(tuple, features.tolist()))


canonical = [Chem.CanonSmiles(spelling) for spelling in (left, left_again, right)]
assert canonical[0] == canonical[1] != canonical[2]
for name, read in (("ogb", lambda s: smiles2graph(s)["node_feat"]), ("torch-geometric", lambda s: from_smiles(s).x)):
    first, second, mirrored = (atoms(read(spelling)) for spelling in (left, left_again, right))
    print(name, "tags", max(a[1] for a in first), max(a[1] for a in second), max(a[1] for a in mirrored))
    assert first != second and first == mirrored, "the behaviour has changed"
PY
