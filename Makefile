# Every target sets up what it needs. VENV holds the one environment; PYTHON makes it.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
TORCH := torch==2.13.0

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-browser lint types check golden sanitize fidelity bench clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# what the demo needs: the package and scikit-learn's digits
$(VENV)/.demo: $(BIN)/python pyproject.toml setup.py $(wildcard runtime/csrc/* passes/csrc/*)
	$(BIN)/python -m pip install -q -e '.[examples]'
	@touch $@

# what the tests need beside that; torch first, by this version, so that no CUDA build comes with it
$(VENV)/.test: $(VENV)/.demo
	$(BIN)/python -m pip install -q $(TORCH)
	$(BIN)/python -m pip install -q -e '.[train,test,dev]'
	@touch $@

setup: $(VENV)/.test ## make .venv with everything for development

demo: $(VENV)/.demo ## compile a trained digits network, run it on the simulated chip
	$(BIN)/python examples/demo.py

test: $(VENV)/.test ## all tests
	$(BIN)/python -m pytest

test-browser: $(VENV)/.test ## the HTML report in Chromium (Debian: chromium, chromium-driver)
	$(BIN)/python -m pip install -q -e '.[browser]'
	TNCC_BROWSER=1 $(BIN)/python -m pytest tests/browser

lint: $(VENV)/.test ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.test ## mypy --strict
	$(BIN)/mypy

check: lint types test ## all that CI checks

golden: $(VENV)/.test ## regenerate tests/golden; read the diff
	$(BIN)/python -m tests.golden.regenerate

sanitize: $(VENV)/.test ## the C code's tests under address and undefined-behaviour sanitizers
	PYTHON=$(abspath $(BIN)/python) bash tests/sanitize.sh

fidelity: $(VENV)/.test ## IBM's recorded runs, spike for spike (TNCC_NSCS names their folder)
	$(BIN)/python -m pytest tests/fidelity -rs

bench: $(VENV)/.test ## measure the engines: JSON lines, then a table (bench/ has more: mapping, training, zoo)
	$(BIN)/python -m bench.engines

clean: ## remove what the build made
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache out runtime/*.so
