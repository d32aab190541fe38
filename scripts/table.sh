#!/usr/bin/env bash
# The README's table: five seeds of each published setting, then the leaderboard as Markdown.
# Finished runs are skipped, so that it can be interrupted and started again.
set -euo pipefail
runs=${1:-runs}
for data in cora citeseer; do
    for model in gcn sgc; do
        for seed in 0 1 2 3 4; do
            gbench train model=$model data=$data seed=$seed runs_dir="$runs" >&2
        done
    done
done
gbench leaderboard "$runs" data=cora,citeseer --format md
