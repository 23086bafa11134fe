# `make demo` and `make test` work on a fresh machine; `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8050
WORKERS ?= 3
BROWSERS ?= 2
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)

# Several processes share the tests. Those that assert a deadline run alone afterwards, since their
# neighbours would delay them; those of the faults that mostly wait do it side by side.
# Playwright's event loop and pytest-asyncio's do not mix in a process, so tests with a browser are
# a call of their own, in fewer processes: a browser has several itself.
TOGETHER := $(BIN)/pytest --numprocesses $(WORKERS) --dist worksteal -m "not deadline and not notice"
IN_BROWSERS := $(BIN)/pytest --numprocesses $(BROWSERS) --dist worksteal -m "not deadline"
WAITING := $(BIN)/pytest --numprocesses $(WORKERS) --dist worksteal -m notice
ALONE := $(BIN)/pytest -m deadline
BROWSER := tests/browser tests/faults/browser tests/security/browser
REST := tests --ignore=tests/faults --ignore=tests/security --ignore=tests/soak
WITHOUT_BROWSER := $(addprefix --ignore=,$(BROWSER))

.PHONY: help demo demo-celery test faults soak matrix matrix-ends bench docs format lint types unit renderer browser fastapi deadlines build constraints tools clean

help: ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/demo ## serve the gallery of the examples
	@$(BIN)/python -m flash_events demo --port $(PORT)

demo-celery: $(VENV)/demo-celery ## serve the report of three Celery workers, with a Redis of its own
	@PORT=$(PORT) $(BIN)/python -m examples.celery_report

test: ## install what the tests need and run everything
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target types renderer
	@$(MAKE) --no-print-directory lint docs unit browser fastapi deadlines

faults: $(VENV)/test | tools ## the fault and security suites
	@$(TOGETHER) tests/faults tests/security $(WITHOUT_BROWSER)
	@$(IN_BROWSERS) tests/faults/browser tests/security/browser
	@$(WAITING) tests/faults tests/security $(WITHOUT_BROWSER)
	@$(ALONE) tests/faults tests/security

soak: $(VENV)/test | tools ## what must run longer
	@$(BIN)/pytest tests/soak

matrix: $(VENV)/test | tools ## the end-to-end core on each Dash and each Python that is there
	@$(BIN)/python -m tests.matrix

matrix-ends: $(VENV)/test | tools
	@$(BIN)/python -m tests.matrix --ends

bench: $(VENV)/bench | tools ## run the benchmarks side by side; WORKS="server texts" runs some of them
	@$(BIN)/python -m benchmarks $(WORKS)

# Not with --quiet: mkdocs would then count no warnings, and find each link right.
docs: $(VENV)/test ## build the documentation into site/; a link or page that leads nowhere fails
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

format: $(VENV)/test ## format the code
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

lint: $(VENV)/test
	@$(BIN)/ruff format --check . && $(BIN)/ruff check .

types: $(VENV)/test
	@$(BIN)/mypy

unit: $(VENV)/test | tools ## tests without a browser
	@$(TOGETHER) $(REST) $(WITHOUT_BROWSER)

browser: $(VENV)/test | tools ## end-to-end tests in headless Chromium
	@$(IN_BROWSERS) tests/browser

deadlines: $(VENV)/test | tools ## tests that assert a deadline, one after the other
	@$(ALONE) $(REST)

fastapi: $(VENV)/test | tools ## the endpoint and a page on FastAPI; BACKEND=fastapi runs any test so
	@BACKEND=fastapi $(TOGETHER) tests/test_endpoint.py
	@BACKEND=fastapi $(BIN)/pytest tests/browser/test_states.py

renderer: renderer/node_modules ## type check, vitest, and whether the committed script is current
	@cd renderer && npx tsc --noEmit && npx vitest run && node build.mjs --check

build: renderer/node_modules ## build the renderer into flash_events/static
	@cd renderer && node build.mjs

$(VENV)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: apt-get install python3 python3-venv"; exit 1; }
	@echo "Creating a Python environment in $(VENV) ..."
	@$(PYTHON) -m venv $(VENV) || { echo "venv is missing: apt-get install python3-venv"; exit 1; }
	@touch $@

# The demos let pip talk: on a slow line it shows how far the downloads are.
$(VENV)/demo: $(VENV)/python pyproject.toml
	@echo "Installing flash_events and what the gallery needs into $(VENV): about a minute, once ..."
	@$(BIN)/pip install --disable-pip-version-check --editable '.[examples]'
	@touch $@

$(VENV)/demo-celery: $(VENV)/python pyproject.toml
	@echo "Installing flash_events, Celery and what the report needs into $(VENV): about a minute, once ..."
	@$(BIN)/pip install --disable-pip-version-check --editable '.[examples,celery]'
	@touch $@

$(VENV)/test: $(VENV)/python pyproject.toml constraints.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	@touch $@

$(VENV)/bench: $(VENV)/python pyproject.toml
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@touch $@

constraints: $(VENV)/python ## write the newest versions that fit into constraints.txt
	@rm -rf $(VENV)-newest && $(BIN)/python -m venv $(VENV)-newest
	@$(VENV)-newest/bin/pip install --quiet --disable-pip-version-check --editable '.[test]'
	@{ grep '^#' constraints.txt; $(VENV)-newest/bin/pip freeze --exclude-editable; } > constraints.new
	@mv constraints.new constraints.txt && rm -rf $(VENV)-newest

renderer/node_modules: renderer/package-lock.json
	@command -v npm >/dev/null || { echo "Node.js 20 or newer is needed: apt-get install nodejs npm"; exit 1; }
	@cd renderer && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

# What is missing of the programs that the tests run, as Debian names their packages.
MISSING = $(strip \
	$(if $(shell command -v chromium chromium-browser google-chrome),,chromium fonts-dejavu-core) \
	$(if $(shell command -v chromedriver),,chromium-driver) \
	$(if $(shell PATH="$$PATH:/usr/sbin" command -v nginx),,nginx-light) \
	$(if $(shell command -v openssl),,openssl) \
	$(if $(shell command -v redis-server),,redis-server))

tools:
	@[ -z "$(MISSING)" ] || { \
		{ [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && \
			DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(MISSING) >/dev/null; } || \
		{ echo "The tests need some programs: apt-get install $(MISSING)"; exit 1; }; }

clean: ## remove what make has made
	@rm -rf $(VENV) .bench .matrix renderer/node_modules site
