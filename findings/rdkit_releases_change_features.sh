#!/usr/bin/env bash
# rdkit 2022.9.5 and 2026.9.1: of one SMILES atoms and bonds have other features, and a molecule has another canonical SMILES.
#
# Public benchmarks of molecules hold SMILES, and graphs that were made of them years ago. Made again by the same code, graphs differ
# where RDKit has changed its mind: which bonds beside sulfur or selenium are conjugated, how four-valent sulfur is hybridised, whether
# a metal has unpaired electrons. All three are among OGB's features. Canonical SMILES, by which one finds duplicates and
# compares scaffolds, have brackets around the atoms next to a metal now, so that those kept in a file match none made today.
#
# Seen: a thione's ring has one conjugated bond less, the sulfur of a sulfilimine is SP3 (was SP2), copper has no unpaired electron (had),
# cisplatin is [NH2][Pt]([NH2])([Cl])[Cl] (was N[Pt](N)(Cl)Cl).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat > told.py <<'PY'
from rdkit import Chem, RDLogger

RDLogger.DisableLog("rdApp.*")
thione = Chem.MolFromSmiles("S=c1sc(-c2ccccc2)c[se]1")
sulfur = Chem.MolFromSmiles("CC(=O)N=S(NC(=O)c1ccc(C)cc1)C(Cl)(Cl)Cl").GetAtomWithIdx(4)
(copper,) = (a for a in Chem.MolFromSmiles("C=Cc1cc[n+]([Cu-2](Cl)Cl)cc1").GetAtoms() if a.GetSymbol() == "Cu")
conjugated = sum(bond.GetIsConjugated() for bond in thione.GetBonds())
print(conjugated, sulfur.GetHybridization(), copper.GetNumRadicalElectrons(), Chem.CanonSmiles("Cl[Pt](Cl)(N)N"))
PY
for release in "rdkit==2022.9.5 numpy==1.26.4" "rdkit==2026.9.1 numpy==2.4.6"; do
    "${PYTHON:-python3}" -m venv --clear env
    env/bin/python -m pip install --quiet $release
    env/bin/python told.py | tee -a seen
done
diff seen - <<'SEEN' || { echo "the behaviour has changed"; exit 1; }
13 SP2 1 N[Pt](N)(Cl)Cl
12 SP3 0 [NH2][Pt]([NH2])([Cl])[Cl]
SEEN
