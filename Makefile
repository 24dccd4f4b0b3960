# Every target works from a bare clone and may be run again at any time.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

export RAY_USAGE_STATS_ENABLED := 0
# Hundreds of processes import torch and Ray: compiled anew each time, that takes twice as long.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install quickstart density check test test-long bench clean

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

install: $(READY) ## Create .venv with the package and its tools

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "lmc_sweep needs Python 3.11 or newer; set PYTHON=...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --group dev --editable .
	touch $@

quickstart: $(READY) ## Forty networks on digits: train, align, interpolate, draw the density plot
	$(BIN)/lmc-sweep run configs/quickstart.yaml
	$(BIN)/lmc-sweep plot runs/quickstart density --output runs/quickstart/density.png

density: $(READY) ## 3,120 networks on digits and parts of MNIST and Fashion-MNIST, and their density plot (ten minutes)
	$(BIN)/lmc-sweep run configs/density_3000.yaml
	$(BIN)/lmc-sweep plot runs/density_3000 density --output runs/density_3000/density.png
	$(BIN)/lmc-sweep compare runs/density_3000
	$(BIN)/lmc-sweep claims runs/density_3000

check: $(READY) ## Format, lint, types, floors, and the quick tests that need neither Ray nor faults (some minutes)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q -m "not slow and not ray and not fault"

test: $(READY) ## The whole test suite, in three lanes at once
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tests/lanes.py --durations=15

test-long: $(READY) ## The tests, then 20 minutes of kills at random (CHAOS_MINUTES, CHAOS_SEED)
	$(BIN)/python tests/lanes.py --durations=15 --deselect tests/fault/test_chaos_sweep.py
	CHAOS_MINUTES=$${CHAOS_MINUTES:-20} $(BIN)/python -m pytest -s tests/fault/test_chaos_sweep.py

bench: $(READY) ## Ratios against named baselines, in one run; writes benchmarks/latest.json
	$(BIN)/python -m benchmarks

clean: ## Remove .venv and caches; runs/ stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
