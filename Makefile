# Commands for people. Everything real is in scripts/set_up.py and `python -m consult`.

ifndef PYTHON
PYTHON := $(shell for p in python3.13 python3.12 python3.11 python3; do \
  "$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo "$$p" && break; done)
PYTHON := $(or $(PYTHON),python3)
endif
RUN := .venv/bin/python
SOURCES := consult signaling tests scripts
# What is compiled is kept, also where Python is told not to: else each of pytest's processes would begin by compiling all
# tests and rewriting their assertions.
PYTEST := env -u PYTHONDONTWRITEBYTECODE $(RUN) -m pytest
TESTS_AT_ONCE := $(shell expr $$(getconf _NPROCESSORS_ONLN) + 2)

.PHONY: help demo test test-at check set-up set-up-dev format words clean
.SILENT:

help:
	echo "make demo        try Consult on this machine (PORT=8080, CONSULT_HOME=.consult)"
	echo "make test        set up and run all tests"
	echo "make test-at     run tests as if it were another moment: AT=\"2027-02-28 23:58\" [ZONE=Pacific/Niue] TESTS=tests/…"
	echo "make check       format, lint, types, layering, unit tests"
	echo "make words       bring the translations in locale/ up to date with the words in the sources"
	echo "make bench-NAME  run the benchmark tests/bench/NAME.py"
	echo "make fuzz-NAME   fuzz one parser with coverage; NAME: see tests/fuzz/targets.py"
	echo "make clean       remove what was made: .venv, node_modules, build, caches (not .consult)"

set-up:
	$(PYTHON) scripts/set_up.py

set-up-dev:
	$(PYTHON) scripts/set_up.py --dev

demo: set-up
	$(RUN) -m consult demo

# Most tests wait more than they reckon, so there are two more at a time than there are processors. Of those that carry
# sound and picture in real time there are two at a time. A call between browsers in which something is measured runs alone:
# a browser without a processor sends sound and picture that do not fit together, and what is wanted of a call could not be
# asked for. Others of them only wait for what they mean, and go two at a time.
test: set-up-dev static-checks
	failed=0; \
	$(PYTEST) -n $(TESTS_AT_ONCE) --dist worksteal -m "not real_time and not in_pairs and not alone" || failed=1; \
	$(PYTEST) -n 2 --dist worksteal -m real_time || failed=1; \
	$(PYTEST) -n 2 --dist worksteal -m in_pairs tests/browser || failed=1; \
	$(PYTEST) -m alone tests/browser || failed=1; \
	exit $$failed

# For example: make test-at AT="2027-02-28 23:58" ZONE=Pacific/Niue TESTS=tests/integration/test_boards.py
test-at: set-up-dev
	$(RUN) -m tests.moments "$(AT)" $(if $(ZONE),--zone $(ZONE)) -n $(TESTS_AT_ONCE) --dist worksteal $(TESTS)

check: set-up-dev static-checks
	$(PYTEST) -q tests/unit

.PHONY: static-checks types-of-python types-of-scripts
static-checks:
	$(RUN) -m ruff format --check $(SOURCES)
	$(RUN) -m ruff check $(SOURCES)
	$(MAKE) --no-print-directory --jobs=2 types-of-python types-of-scripts

types-of-python:
	$(RUN) -m mypy

types-of-scripts:
	node_modules/.bin/tsc --project tsconfig.json

format:
	$(RUN) -m ruff check --fix-only --quiet $(SOURCES)
	$(RUN) -m ruff format --quiet $(SOURCES)

words: set-up
	$(RUN) -m scripts.extract_words

bench-%: set-up-dev
	$(RUN) -m tests.bench.$(subst -,_,$*)

# For example: make fuzz-offer FUZZ=-max_total_time=600
fuzz-%:
	$(PYTHON) scripts/set_up.py --dev --fuzz
	$(RUN) -m tests.fuzz $* $(FUZZ)

clean:
	rm -rf .venv node_modules static/vendor signaling/forward.so build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +
