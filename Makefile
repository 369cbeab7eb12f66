# Needs python3 (3.11 or newer) with venv, make and git; everything else is installed into .venv.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed
RUN ?= runs/demo

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow test-oldest lint check docs bench wheel

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
	$(BIN)/pytest -n 2

test-slow: setup  ## the slow tests only
	$(BIN)/pytest -n 2 -m slow

lint: setup  ## ruff, its format, mypy --strict on moco and the benchmarks, and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict -p moco -p benchmarks
	$(BIN)/pytest tests/test_imports.py

# pip's resolver takes minutes for it. torch and torchvision are those of constraints.txt here too, whatever pyproject.toml
# accepts: older builds for the CPU are not to be had everywhere.
OLDEST := .venv-oldest

test-oldest: setup  ## the tests of `make test` with the lowest version of each package that pyproject.toml accepts, but torch
	@mkdir -p runs
	$(BIN)/python .ci/oldest.py > runs/oldest.txt
	$(PYTHON) -m venv --clear $(OLDEST)
	$(OLDEST)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -c runs/oldest.txt -e '.[all,test]'
	$(OLDEST)/bin/pytest -n 2

docs: setup  ## site/: the documents and the Python reference as a site; any warning fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

check: lint test  ## what a change must pass

CIFAR10 ?= ../shared/data/cifar10

MEASURE := OMP_NUM_THREADS=1 $(BIN)/python -W ignore -m
comma := ,
SLOW_SEARCHERS := random,gp,botorch,ax,greybox
FRONTS := zdt1,zdt2,zdt3,dtlz2,c2-dtlz2,branin-currin

# $(call table,NAME,BENCHMARK AND ITS OPTIONS): into a file first, so that a benchmark that fails leaves the page as it is.
define table
	@mkdir -p runs/tables
	$(MEASURE) benchmarks.$(2) > runs/tables/$(1).md
	@$(BIN)/python -m benchmarks.page $(1) < runs/tables/$(1).md
endef

# Every benchmark keeps its finished runs in runs/, so that `make bench` goes on where it was stopped.
bench: setup  ## timing, kill and resume, the search strategies against each other; where CIFAR-10 is, ResNet-56 too: hours
	$(BIN)/python benchmarks/aa_timing.py --repeats 50 --ab
	$(BIN)/python -m benchmarks.kill_resume --kills 100 --out runs/kills
	$(MEASURE) benchmarks.remote_agent
	$(call table,agents,agents)
	$(call table,known,known_answers)
	$(call table,known-tpe,known_answers --searchers random$(comma)tpe --problems branin-currin --trials 200)
	$(call table,known-slow,known_answers --searchers $(SLOW_SEARCHERS) --problems $(FRONTS) --trials 40 --seeds 4)
	$(call table,known-100,known_answers --searchers random$(comma)gp$(comma)botorch --problems zdt2$(comma)dtlz2$(comma)c2-dtlz2 --trials 100 --seeds 3)
	$(call table,learning,learning --images docs/images)
	$(call table,growth,growth)
	$(call table,recorded,greybox)
	$(call table,wrapped,wrapped)
ifneq ($(wildcard $(CIFAR10)/test.parquet),)
	$(call table,learning-real,learning --real 200 --data $(CIFAR10) --images docs/images)
	$(BIN)/python benchmarks/seeds.py experiments/resnet56_cifar10_accuracy_guaranteed.yaml --seeds 5 --out runs/seeds
	$(BIN)/python benchmarks/overhead.py runs/seeds/seed*/resnet56_cifar10_accuracy_guaranteed
else
	@echo "CIFAR-10 is not in $(CIFAR10): the benchmarks on it are left out"
endif

wheel: setup  ## dist/: the source archive, and the wheel built from that archive
	rm -rf dist build
	$(BIN)/python -m build --no-isolation --outdir dist
