PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := PYTHONWARNINGS=ignore $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help setup demo check test test-oldest test-matrix test-companions test-gpu table audits bench findings clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.installed  ## make the virtual environment (once; again when its files change)

# torch comes first and by itself: with it in place nothing else can pull another build of it. One
# for CUDA names the Triton that it was built with, which then is the right one and not the pinned.
$(VENV)/.installed: pyproject.toml scripts/constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --upgrade "pip>=25.1"
	grep -v '^triton==' scripts/constraints.txt > $(VENV)/constraints.txt
	$(PIP) install --constraint $(VENV)/constraints.txt torch
	$(BIN)/python -c "import torch; raise SystemExit(not torch.version.cuda)" || \
		cp scripts/constraints.txt $(VENV)/constraints.txt
	$(PIP) install --constraint $(VENV)/constraints.txt --group test --group lint --group gpu-test --editable .
	@touch $@

demo: setup  ## fresh machine to leaderboard: install, train GIN on the embedded digits, show the table
	$(BIN)/gbench train
	$(BIN)/gbench leaderboard

check: setup  ## lint, format, types and the arrows between rooms: none in a circle
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python scripts/import_graph.py --check

test: setup  ## the whole test suite on the CPU (GBENCH_DATA=FOLDER adds the tests on real datasets)
	$(BIN)/python -m pytest -q -n auto --dist loadscope

# uv chooses: the lowest version that pyproject.toml allows of each package that it names
test-oldest:  ## the same for the oldest packages allowed (PYTHON=python3.11; about 4 GB): train, search, submit
	$(PYTHON) -m venv $(VENV)-oldest
	$(VENV)-oldest/bin/python -m pip install --quiet uv
	VIRTUAL_ENV=$(VENV)-oldest $(VENV)-oldest/bin/uv pip install --quiet --resolution lowest-direct \
		--group test --group gpu-test --editable ".[continuous,molecules,search,slurm,ray,loggers]"
	$(VENV)-oldest/bin/gbench doctor
	$(VENV)-oldest/bin/python -m pytest -q -n auto --dist loadscope tests/cli tests/search tests/sweep tests/train tests/config

test-matrix:  ## the whole suite on Python 3.11 and 3.13, newest packages, CUDA builds, Tritons; about 15 GB
	scripts/test_matrix.sh

test-companions: setup  ## with a real Slurm (apt-get install slurm-wlm munge), Ray and MLflow: minutes
	test -x $(VENV)-mlflow/bin/mlflow || $(PYTHON) -m venv $(VENV)-mlflow
	$(VENV)-mlflow/bin/python -m pip install --quiet mlflow
	GBENCH_COMPANIONS=1 GBENCH_MLFLOW=$(abspath $(VENV)-mlflow/bin/mlflow) \
		$(BIN)/python -m pytest -q -m companions

test-gpu: setup  ## the tests that need a CUDA device, and how many of them ran
	$(BIN)/python -m pytest -q -m gpu

table: setup  ## the README's table of reproduced papers: hours on two cores (downloads what is missing)
	PATH="$(abspath $(BIN)):$$PATH" scripts/table.sh

audits: setup  ## the README's table of what scores are worth, of all datasets at hand: minutes
	$(BIN)/gbench data audit all --output audits.md

bench: setup  ## the README's timings: start-up, training loop, batches, kernels (all peers: gbench bench kernels)
	$(BIN)/python scripts/bench_start.py
	$(BIN)/python scripts/bench_loop.py
	$(BIN)/python scripts/bench_sweep.py
	$(BIN)/gbench bench train --quick --threads 2
	$(BIN)/gbench bench loader
	$(BIN)/gbench bench kernels --quick

findings:  ## surprises in other people's software, each run again (not part of the tests)
	@failed=0; for finding in findings/*.sh; do echo "== $$finding"; PYTHON=$(PYTHON) $$finding || failed=1; done; exit $$failed

clean:  ## remove the virtual environment and what tools left behind (runs/ stays)
	rm -rf $(VENV) $(VENV)-* build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
