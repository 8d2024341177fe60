# Few, obvious targets. Everything happens in .venv, which is made on first use.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help run test lint types compat compat-long sim compat-mutants faults kazoo-cluster sync-grid
.PHONY: conformance interchange bench bench-ensemble cover clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

$(VENV)/run.stamp: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

run: $(VENV)/run.stamp ## start a server with a safe embedded default
	$(BIN)/python -m zkpy serve

test: $(VENV)/dev.stamp ## all tests, lint and types
	$(BIN)/python -m tools.generate_records --check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q

lint: $(VENV)/dev.stamp ## style only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/dev.stamp ## types only
	$(BIN)/mypy

cover: $(VENV)/dev.stamp ## tests with branch coverage
	$(BIN)/coverage run -m pytest -q
	$(BIN)/coverage report

$(VENV)/compat.stamp: $(VENV)/dev.stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,compat]'
	@touch $@

compat: $(VENV)/compat.stamp ## the same checks on zkpy and a real ZooKeeper; Java's CLI, Curator, kazoo's suite
	$(BIN)/python -m pytest -q compat
	$(BIN)/python -m compat.kazoo_suite --without sasl --without tls
	$(BIN)/python -m compat.kazoo_suite --cluster 3 --without sasl --without tls -- -k 'connection or election or party'

compat-long: $(VENV)/compat.stamp ## 10,000 generated scripts of 200 steps on zkpy and a real ZooKeeper (about an hour)
	$(BIN)/python -m compat.generated --scripts 10000 --steps 200

sim: $(VENV)/dev.stamp ## simulated ensembles with faults: FIRST=0 SEEDS=200
	$(BIN)/python -m tests.simulation.run $(or $(FIRST),0) $(or $(SEEDS),200) 2>/dev/null

compat-mutants: $(VENV)/compat.stamp ## break zkpy on purpose in many places: the checks have to notice each
	$(BIN)/python -m compat.mutants

faults: $(VENV)/compat.stamp ## members killed, stopped and cut off at random; what clients saw is checked (an hour)
	$(BIN)/python -m compat.faults --members zzz --runs 30 --seconds 40
	$(BIN)/python -m compat.faults --members zzzzz --runs 10 --seconds 40
	$(BIN)/python -m compat.faults --members zjz --runs 10 --seconds 40 --recovery 40
	$(BIN)/python -m compat.faults --members jzj --runs 5 --seconds 40 --recovery 40

kazoo-cluster: $(VENV)/compat.stamp ## kazoo's whole suite on an ensemble of three (4 minutes)
	$(BIN)/python -m compat.kazoo_suite --cluster 3 --without sasl --without tls

sync-grid: $(VENV)/compat.stamp ## stop synchronisations between zkpy and Java after each packet, 162 cells (11 minutes)
	$(BIN)/python -m compat.syncgrid

conformance: $(VENV)/compat.stamp ## run all of that on both servers and write docs/conformance.md (10 to 15 minutes)
	$(BIN)/python -m compat.conformance --run

interchange: $(VENV)/compat.stamp ## move data directories between zkpy and Java, write docs/interchange.md (4 minutes)
	$(BIN)/python -m compat.interchange --output docs/interchange.md

bench: $(VENV)/dev.stamp ## zkpy and a real ZooKeeper in turn, with ratios
	$(BIN)/python -m bench

bench-ensemble: $(VENV)/dev.stamp ## three zkpy servers and three of a real ZooKeeper in turn (about 15 minutes)
	$(BIN)/python -m bench --ensemble

clean: ## remove what make made
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
