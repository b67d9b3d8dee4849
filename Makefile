# One command for each thing that people do here; `make` alone lists them.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
INSTALLED := .venv/.installed
TOOLS := .venv-tools/bin
TOOLED := .venv-tools/.installed
ROUNDS ?= 100
INPUTS ?= 100000
SECONDS ?= 600
CYCLES ?= 1000
PREDICTIONS ?= 100000

.DEFAULT_GOAL := help
.PHONY: help install run demo test lint types tests torture fuzz overload bench docs lock sbom audit clean

help: ## list these commands
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

install: $(INSTALLED) ## make the environment in .venv

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	@echo "Installing into .venv: a few minutes the first time, with torch the largest part."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[dev]'
	touch $@

run: $(INSTALLED) ## teach the demo heads and serve them on port 3000
	$(BIN)/penultimate demo
	$(BIN)/penultimate serve

demo: $(INSTALLED) ## teach the demo heads, ask them once, and stop
	$(BIN)/penultimate demo

test: lint types tests ## everything that CI runs

lint: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(INSTALLED)
	$(BIN)/mypy

tests: $(INSTALLED)
	$(BIN)/pytest --numprocesses 2 --dist loadfile

torture: $(INSTALLED) ## kill the service ROUNDS times under load, and record it
	$(BIN)/python tests/torture/kill_rounds.py --rounds $(ROUNDS) --workers 2 --record docs/reliability.json
	$(BIN)/python tests/torture/kill_rounds.py --rounds $(ROUNDS) --workers 1 --record docs/reliability.json

fuzz: $(INSTALLED) ## give every reader INPUTS damaged inputs, and record it
	$(BIN)/python tests/torture/fuzz_readers.py --inputs $(INPUTS) --record docs/reliability.json

overload: $(INSTALLED) ## ask a server for five times what it can do, then for the same again and again
	$(BIN)/python -m benchmarks.overload --seconds $(SECONDS) --record docs/reliability.json
	$(BIN)/python tests/torture/soak.py --cycles $(CYCLES) --predictions $(PREDICTIONS) --record docs/reliability.json

bench: $(INSTALLED) ## measure the product beside rivals, and write docs/performance.md
	$(BIN)/python -m benchmarks.speed --page docs/performance.md

docs: $(INSTALLED) ## write the generated pages of the reference
	$(BIN)/python docs/tools/reference.py

lock: $(INSTALLED) $(TOOLED) ## write constraints.txt from what is installed, and requirements.lock
	$(BIN)/pip freeze --exclude-editable | grep -v '^uv==' | sed 's/+cpu$$//' > constraints.txt
	$(TOOLS)/uv pip compile pyproject.toml --constraint constraints.txt --generate-hashes \
		--python-version 3.11 --no-header --no-annotate --no-emit-index-url --quiet \
		--output-file requirements.lock

sbom: $(INSTALLED) $(TOOLED) ## write sbom.json: every package in the environment (CycloneDX)
	$(TOOLS)/cyclonedx-py environment .venv --output-file sbom.json

audit: $(TOOLED) ## look whether a known vulnerability concerns requirements.lock; needs the network
	$(TOOLS)/pip-audit --requirement requirements.lock --disable-pip --no-deps

$(TOOLED):
	test -x $(TOOLS)/pip || $(PYTHON) -m venv .venv-tools
	$(TOOLS)/python -m pip install --quiet --disable-pip-version-check \
		'cyclonedx-bom>=7,<8' 'pip-audit>=2.9,<3' 'uv>=0.8'
	touch $@

clean: ## remove the environment and every cache, not your data
	rm -rf .venv .venv-tools sbom.json .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
