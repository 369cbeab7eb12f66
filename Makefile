# Needs python3 (3.11 or newer) with venv, make and git; everything else is installed into .venv.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed
RUN ?= runs/demo

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow lint check bench wheel

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12

setup: $(STAMP)  ## .venv with moco and its tools; quick when nothing has changed

$(STAMP): pyproject.toml constraints.txt
	@echo "Setting up .venv: a few minutes the first time."
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: setup  ## train a small network on real digits, search it, certify it, write the report
	$(BIN)/moco demo --out $(RUN)

test: setup  ## all tests but the slow ones
	$(BIN)/pytest

test-slow: setup  ## the slow tests only
	$(BIN)/pytest -m slow

lint: setup  ## ruff, its format, mypy --strict, and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict -p moco
	$(BIN)/pytest tests/test_imports.py

check: lint test  ## what a change must pass

bench: setup  ## every script of benchmarks/, one after the other
	@set -e; for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python "$$script"; done

wheel: setup  ## dist/: the source archive, and the wheel built from that archive
	rm -rf dist build
	$(BIN)/python -m build --no-isolation --outdir dist
