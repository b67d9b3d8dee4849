# One command for each thing that people do here; `make` alone lists them.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
INSTALLED := .venv/.installed
ROUNDS ?= 100
INPUTS ?= 100000

.DEFAULT_GOAL := help
.PHONY: help install run demo test lint types tests torture fuzz bench docs lock clean

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

bench: $(INSTALLED) ## measure the product beside rivals, and write docs/performance.md
	$(BIN)/python -m benchmarks.speed --page docs/performance.md

docs: $(INSTALLED) ## write the generated pages of the reference
	$(BIN)/python docs/tools/reference.py

lock: $(INSTALLED) ## write constraints.txt from what is installed now
	$(BIN)/pip freeze --exclude-editable | grep -v '^uv==' | sed 's/+cpu$$//' > constraints.txt

clean: ## remove the environment and every cache, not your data
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
