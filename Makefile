# Two commands: `make demo` and `make test`. Everything lands in .venv; nothing outside this folder is written but pip's cache.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
VENV ?= .venv
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := $(VENV)/bin
STAMP := $(VENV)/.emoforge-installed
# 2.13.0 is the build for the CPU where no CUDA index is configured; another one in range, already there, is kept
TORCH ?= torch==2.13.0
TORCH_RANGE := >=2.6,<2.14
export PATH := $(abspath $(BIN)):$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYTHONUNBUFFERED := 1
unexport PYTHONPATH PYTHONHOME

.PHONY: help install demo test test-all evidence bench check check-unpinned docs docs-serve notebooks sbom audit clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

install: $(STAMP)  ## Make .venv and install the pinned set (a torch in it that is in range is kept)

$(BIN)/python:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python >= 3.11 is needed, $(PYTHON) is older; name one: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	"$(PYTHON)" -m venv $(VENV)

$(STAMP): pyproject.toml constraints.txt | $(BIN)/python
	@$(BIN)/python -c 'import importlib.metadata as m, sys; from pip._vendor.packaging.specifiers import SpecifierSet as S; sys.exit(m.version("torch") not in S("$(TORCH_RANGE)"))' 2>/dev/null \
	  || $(BIN)/python -m pip install --quiet -c constraints.txt "$(TORCH)"
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $(STAMP)

demo: install  ## Build the four demo releases and print what is in them; a second time: nothing to do
	@$(BIN)/python -m emoforge demo

# a worker a core; a file's tests stay together, as they share what is costly to build
PYTEST = $(BIN)/python -m pytest -n auto --dist loadfile --durations=15

test: install  ## The tests that every change must pass (under 15 minutes on two cores)
	@$(PYTEST)

test-all: install  ## The slow ones too: whole pipelines, killed runs, a real server
	@$(PYTEST) -m ''

# where corpora lie, by the names in benchmarks/evidence/params.yaml; VAULT=1 tests the people kept aside, and is logged
DATA ?= data/raw
VAULT ?=
evidence: install  ## The studies behind docs/evidence.md (hours the first time; DATA=folder of corpora)
	$(BIN)/python -m benchmarks.evidence.run --data "$(DATA)" $(if $(VAULT),--vault)

# peers are measured against, never installed into the environment
PEERS = .bench/peers
bench: install  ## The speed table beside its peers: docs/performance.md (half an hour; DATA=folder of corpora)
	@mkdir -p $(PEERS) && $(BIN)/python -m pip install --quiet --no-deps --upgrade --target $(PEERS) -r benchmarks/peers.txt
	@OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.bench --data "$(DATA)" --peers $(PEERS)

check: install  ## Format, lint, types, floors
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# weekly: what the newest of everything in range does; a fresh environment each time, some GB and minutes
UNPINNED ?= $(or $(TMPDIR),/tmp)/emoforge-unpinned
check-unpinned: install  ## Install a wheel without constraints into a fresh environment, smoke-test it in an empty folder
	$(BIN)/python -m benchmarks.unpinned "$(UNPINNED)"

# MkDocs is no part of `dev`: whoever builds the site gets it. NO_MKDOCS_2_WARNING: a notice of the theme about a MkDocs
# to come, which pyproject.toml keeps out
MKDOCS = NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs
SITE_STAMP := $(VENV)/.emoforge-docs
$(SITE_STAMP): $(STAMP)
	@$(BIN)/python -c 'import material, mkdocs' 2>/dev/null || $(BIN)/python -m pip install --quiet -c constraints.txt -e '.[docs]'
	@touch $(SITE_STAMP)

docs: $(SITE_STAMP)  ## The docs as a site in build/site; a broken link or anchor is an error
	@$(MKDOCS) build --strict --clean

docs-serve: $(SITE_STAMP)  ## The site at 127.0.0.1:8000, rebuilt while you write
	@$(MKDOCS) serve --dev-addr 127.0.0.1:8000

notebooks: install  ## Run the notebooks of docs/notebooks, in order (two minutes); they stay as they are in git
	@$(BIN)/python docs/notebooks/run.py

sbom: install  ## What the environment is made of, as CycloneDX 1.6: build/sbom.cdx.json
	@$(BIN)/python docs/supply/sbom.py build/sbom.cdx.json

# make says 2 of every failure; docs/supply/advisories.py itself: 1 there are some, 2 nobody could be asked
audit: install  ## Installed packages against published advisories, by pip-audit; fails too where it could not ask
	@$(BIN)/python docs/supply/advisories.py

clean:  ## Remove caches and scratch; keeps .venv, data and the DVC cache
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist .emoforge/errors
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
