#!/usr/bin/env bash
# The README's table of reproduced papers: the runs, then the report as Markdown. Hours on two cores;
# finished runs are skipped, so that it can be interrupted and started again.
set -euo pipefail
runs=${1:-runs}

reproduce() { gbench reproduce "$@" runs_dir="$runs" >&2 || true; } # 1: one is worse

reproduce {gcn,sgc,dagnn}-{cora,citeseer}
reproduce {diag,od,gen}-nsd-{texas,cornell} diag-nsd-chameleon
reproduce {od,gen}-nsd-chameleon diag-nsd-actor folds=4
reproduce {od,gen}-nsd-actor folds=2
reproduce gin-{mutag,imdb-binary,proteins}-gin-10-fold-selects-on-test gin-mutag
reproduce gin-{proteins,imdb-binary} folds=2
reproduce dagnn-{cs,photo-dagnn-lcc-quirk,computers-dagnn-lcc-quirk} folds=10
reproduce {graph-mlp-mixer,mp-gnn}-sr25 seeds=2
reproduce {graph-mlp-mixer,mp-gnn}-csl seeds=1 folds=2
reproduce {graph-mlp-mixer,mp-gnn}-exp seeds=1 folds=1
gbench reproduce --report runs_dir="$runs"
