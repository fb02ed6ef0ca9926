# `make demo` and `make test` do all the set-up themselves. Everything they install goes into $(VENV).
SHELL := /bin/bash
VENV ?= .venv
BIN := $(VENV)/bin
JOBS ?= 2

.DEFAULT_GOAL := help
.PHONY: help demo test lint install bench-server kill-loop picture clean

help:
	@echo "make demo          group and name real questions, end to end, in about a minute with the set-up"
	@echo "make test          format, lint, types, import rules and all tests"
	@echo "make install       set up $(VENV) for work on Shoal (make test does it by itself)"
	@echo "make picture       redraw docs/images/demo.svg from a real run"
	@echo "make bench-server  measure ingest, scan and request times of a real server"
	@echo "make kill-loop     kill the server 100 times during ingest and runs, then count what was lost"
	@echo "make clean         remove $(VENV), caches and results"

demo: $(VENV)/.ready
	@$(BIN)/shoal demo

test: lint
	@$(BIN)/python -m pytest -n $(JOBS)

lint: $(VENV)/.ready-dev
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

install: $(VENV)/.ready-dev
	@echo "Ready: source $(BIN)/activate, then shoal --help"

picture: $(VENV)/.ready
	@$(BIN)/python scripts/draw_demo.py

bench-server: $(VENV)/.ready-dev
	@PYTHONPATH=tests $(BIN)/python benchmarks/bench_server.py --write docs/performance.md

kill-loop: $(VENV)/.ready-dev
	@PYTHONPATH=tests $(BIN)/python benchmarks/kill_loop.py

# Set-up runs again only when one of these files changes.
$(VENV)/.ready: pyproject.toml constraints.txt scripts/set-up
	@scripts/set-up $(VENV)

$(VENV)/.ready-dev: pyproject.toml constraints.txt scripts/set-up
	@scripts/set-up $(VENV) dev

clean:
	rm -rf $(VENV) .demo shoal-out .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests benchmarks scripts -name __pycache__ -type d -prune -exec rm -rf {} +
