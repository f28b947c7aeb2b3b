# Shortcuts for developers; `make check` before a commit.
PYTHON ?= python

.PHONY: check format lint types test ci

check: format lint types test

format:
	$(PYTHON) -m ruff format .

lint:
	$(PYTHON) -m ruff check .

types:
	$(PYTHON) -m mypy

test:
	$(PYTHON) -m pytest -n 2

ci:
	.ci/run
