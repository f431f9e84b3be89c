# What a developer types.  Python 3.11 or newer is all that must be there: make PYTHON=/path/to/it
PYTHON ?= python3.11
VENV = .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check install --quiet
INSTALLED = $(VENV)/.installed
TESTABLE = $(VENV)/.testable

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-long check soak bench fmt brokers clean dist

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: $(INSTALLED) ## make .venv and install workerd in it, with the embedded broker

demo: $(INSTALLED) ## see it work: every file of Python's library as a task (1 minute, no set-up)
	@$(BIN)/workerd demo

# Most of these tests wait for a process: four at a time keep two cores busy.  Those of make check have run.
# The files come in the order of tests/conftest.py: the longest first.
APART = -n 4 --dist loadfile --no-loadscope-reorder --ignore tests/unit --ignore tests/contract

test: check brokers ## all tests, with private Redis and RabbitMQ servers (at most 12 minutes)
	@$(BIN)/pytest -q $(APART)

test-long: check brokers ## the same tests with more rounds, and those that take long: 200 cuts, 300 kills (an hour)
	@$(BIN)/pytest -q --long --timeout=3600

check: $(TESTABLE) ## format, lint, types, layers, unit and contract tests (under 30 seconds)
	@$(BIN)/ruff format --check --quiet . || { echo "type: make fmt"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-cache --no-logo > $(VENV)/layers.log || { cat $(VENV)/layers.log; exit 1; }
	@$(BIN)/pytest -q tests/unit tests/contract

soak: $(TESTABLE) brokers ## random kills, scaling, reloads and load for 10 minutes, from a printed seed
	@$(BIN)/pytest -v -s --timeout=900 --soak=600 tests/soak

bench: $(INSTALLED) ## measure the pool and its starts beside their peers (3 minutes)
	@$(BIN)/python -m bench.pool
	@$(BIN)/python -m bench.starts

fmt: $(TESTABLE) ## format the code and mend what ruff can mend
	@$(BIN)/ruff check --fix --quiet --exit-zero .
	@$(BIN)/ruff format .

brokers: ## install redis-server and rabbitmq-server where they are missing
	@tools/install-brokers

dist: $(INSTALLED) ## build the source archive and the wheel into dist/
	@$(PIP) 'hatchling>=1.24'
	@$(BIN)/hatchling build

clean: ## remove .venv, dist and all caches
	@rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): pyproject.toml tools/make-venv
	@echo "installing workerd into $(VENV)"
	@tools/make-venv $(PYTHON) $(VENV)
	@$(PIP) --editable '.[embedded]'
	@touch $@

$(TESTABLE): $(INSTALLED)
	@echo "installing what the tests need into $(VENV)"
	@$(PIP) --group test
	@touch $@
