# `make demo` and `make test` do all the set-up themselves. Everything they install and build goes into $(VENV).
SHELL := /bin/bash
VENV ?= .venv
BIN := $(VENV)/bin
# Three on two cores: tests wait for servers now and then.
JOBS ?= 3
# Where a shell sets this, each process compiles all of Shoal again: two seconds for each server, worker and command.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help hostile demo check test fuzz test-plain fuzz-native sanitize contract docs openapi lint install native bench-server bench-stores bench-engine bench-encoders bench-names-by-model faults mutations simulate picture wheel image clean

help:
	@echo "make demo          group and name real questions, end to end, in about a minute with the set-up"
	@echo "make test          format, lint, types, import rules and all tests"
	@echo "make check         format, lint, types and the quick tests that start no process, in under three minutes"
	@echo "make fuzz          the generated tests with new examples, SEEDS=10; make test takes the same ones every time"
	@echo "make test-plain    the engine's tests without the native core, in $(VENV)-plain"
	@echo "make fuzz-native   every instruction set against the definition, 15 kinds of data, SEEDS=10 (an hour)"
	@echo "make sanitize      the native tests under ASan, UBSan and TSan (half an hour)"
	@echo "make contract      the tests made from the OpenAPI file, in their long form (half an hour)"
	@echo "make docs          build the documentation site in docs/_build/html; every warning is an error"
	@echo "make openapi       tell what changed in the OpenAPI file and renew the reviewed copy"
	@echo "make native        build the native core again, in seconds (make test does it by itself)"
	@echo "make install       set up $(VENV) for work on Shoal (make test does it by itself)"
	@echo "make picture       redraw docs/images/demo.svg from a real run"
	@echo "make wheel         build sdist and wheel into dist/, use each in an empty environment, say what it takes (four minutes)"
	@echo "make image         build the image and try it without rights (Docker, or buildah and root)"
	@echo "make bench-server  measure ingest, scan and request times of a real server"
	@echo "make bench-stores  requests a second of a server whose stores take 0 and 5 ms a call"
	@echo "make bench-engine  clusters, maps, neighbours beside their peers (two hours; a venv of its own)"
	@echo "make bench-encoders  what the encoders in the box are worth, beside MiniLM and TF-IDF (ten minutes)"
	@echo "make bench-names-by-model  50 runs of each misbehaviour of a provider of language models (a quarter of an hour)"
	@echo "make faults        kill, stop, starve and damage a server in every way we know, then count what was lost (two hours)"
	@echo "make hostile       send everything hostile at once and measure what the others notice of it (five minutes)"
	@echo "make mutations     2,400 damaged and unusual files against a server and the library (a quarter of an hour)"
	@echo "make simulate      10,000 seeds of workers, queue and store under a virtual clock"
	@echo "make clean         remove $(VENV), $(VENV)-plain, $(VENV)-wheel*, dist, caches and results"

demo: $(VENV)/.ready $(VENV)/.native
	@$(BIN)/shoal demo

test: lint $(VENV)/.native
	@$(BIN)/python -m pytest -n $(JOBS) --durations=30

check: lint $(VENV)/.native
	@$(BIN)/python -m pytest -n $(JOBS) --durations=10 -m "not process and not slow"

# What it finds is printed with its seed, and becomes an @example.
fuzz: $(VENV)/.ready-dev $(VENV)/.native
	@for round in $$(seq $(or $(SEEDS),10)); do seed=$$RANDOM; echo "seed $$seed"; \
	  $(BIN)/python -m pytest -n $(JOBS) -q --hypothesis-profile random --hypothesis-seed $$seed \
	    $$(grep -rlE "^from hypothesis" tests --include="test_*.py") || exit 1; done
	@SHOAL_CANARY_STEPS=2000 $(BIN)/python -m pytest -q tests/tenancy/test_canaries.py

test-plain:
	@SHOAL_NATIVE=OFF $(MAKE) VENV=$(VENV)-plain $(VENV)-plain/.ready-dev
	@$(VENV)-plain/bin/python -c 'from shoal.engine import kernels; assert kernels.native() is None'
	@$(VENV)-plain/bin/python -m pytest -n $(JOBS) tests/engine

fuzz-native: $(VENV)/.ready-dev $(VENV)/.native
	@PYTHONPATH=tests $(BIN)/python -m native_fuzz --seeds $(or $(SEEDS),10)

sanitize: $(VENV)/.ready-dev $(VENV)/.native
	@scripts/sanitize $(VENV) address,undefined
	@scripts/sanitize $(VENV) thread

contract: $(VENV)/.ready-dev $(VENV)/.native
	@SHOAL_CONTRACT=long $(BIN)/python -m pytest -n $(JOBS) tests/contract

docs: $(VENV)/.ready-docs
	@$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet --jobs $(JOBS) docs docs/_build/html
	@$(BIN)/python scripts/check_site.py docs/_build/html
	@echo "Open docs/_build/html/index.html"

openapi: $(VENV)/.ready-dev
	@PYTHONPATH=tests $(BIN)/python -m contract.description

native: $(VENV)/.ready
	@scripts/build-native $(VENV)

lint: $(VENV)/.ready-dev
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

install: $(VENV)/.ready-dev
	@echo "Ready: source $(BIN)/activate, then shoal --help"

picture: $(VENV)/.ready $(VENV)/.native
	@$(BIN)/python scripts/draw_demo.py

# PYTHON=python3.13 make wheel: for another Python.
wheel:
	@scripts/try-packages $(VENV)-wheel $(or $(PYTHON),python3)

image:
	@scripts/try-image

bench-server: $(VENV)/.ready-dev $(VENV)/.native
	@PYTHONPATH=tests $(BIN)/python benchmarks/bench_server.py --write docs/performance.md

# BEFORE=../other/src make bench-stores: another checkout in the same rounds.
bench-stores: $(VENV)/.ready-dev $(VENV)/.native
	@PYTHONPATH=tests $(BIN)/python benchmarks/bench_store_latency.py $(if $(BEFORE),--before $(BEFORE))

bench-engine:
	@scripts/set-up-peers $(VENV)-peers
	@for question in hdbscan kmeans neighbors start auto map assign; do \
	  $(VENV)-peers/bin/python benchmarks/bench_$$question.py --json benchmarks/results/$$question.json \
	    --write docs/performance.md || exit 1; done
	@PYTHONPATH=benchmarks $(VENV)-peers/bin/python benchmarks/bench_margin.py

# Parts alone: PYTHONPATH=tests .venv/bin/python -m faults.run --only kills --kills 3000 --seed 7
bench-names-by-model: $(VENV)/.ready-dev $(VENV)/.native
	@PYTHONPATH=tests $(BIN)/python -m labeling.providers.misbehaviour --runs $(or $(RUNS),50)

bench-encoders: $(VENV)/.ready-dev $(VENV)/.native
	@PYTHONPATH=tests $(BIN)/python benchmarks/bench_encoders.py

faults: $(VENV)/.ready-dev $(VENV)/.native
	@PYTHONPATH=tests $(BIN)/python -m faults.run

hostile: $(VENV)/.ready-dev $(VENV)/.native
	@PYTHONPATH=tests $(BIN)/python -m hostile.run

mutations: $(VENV)/.ready-dev $(VENV)/.native
	@PYTHONPATH=tests OPENBLAS_NUM_THREADS=1 $(BIN)/python -m files.mutation_run --count 2400

simulate: $(VENV)/.ready-dev
	@PYTHONPATH=tests $(BIN)/python -m simulation.run --seeds 10000 --processes $(JOBS)

# Set-up runs again only when one of these files changes.
SET_UP := pyproject.toml constraints.txt scripts/set-up tests/read_back/older-sdk.txt CMakeLists.txt

$(VENV)/.ready: $(SET_UP)
	@scripts/set-up $(VENV)

$(VENV)/.ready-dev: $(SET_UP)
	@scripts/set-up $(VENV) dev

$(VENV)/.ready-docs: pyproject.toml constraints.txt | $(VENV)/.ready
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --group docs
	@touch $@

# An edit in native/ needs no set-up, only the compiler.
$(VENV)/.native: $(wildcard native/*) | $(VENV)/.ready
	@scripts/build-native $(VENV)

clean:
	rm -rf $(VENV) $(VENV)-plain $(VENV)-wheel $(VENV)-wheel-sdist dist docs/_build .demo shoal-out fault-results .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests benchmarks scripts -name __pycache__ -type d -prune -exec rm -rf {} +
