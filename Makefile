# docsearch: everything one does with a checkout. `make help` lists it. Needs Python 3.11 or newer and nothing else.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help serve test check format bench clean environment

BIN := .venv/bin

# PORT and HOST from the command line are passed on; from the environment, the service reads them itself.
SERVE_FLAGS := $(if $(filter command,$(firstword $(origin PORT))),--port '$(PORT)') \
               $(if $(filter command,$(firstword $(origin HOST))),--host '$(HOST)')
# For example: make test ARGS='tests/search -x'
ARGS ?=
# Folders in BEIR layout that `make bench` evaluates.
SETS ?= ../shared/bench

help: ## List what make can do here
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' Makefile

serve: ## Start docsearch with everything it needs (PORT=8000 HOST=127.0.0.1); Ctrl-C stops it
	@.ci/environment serve
	@exec $(BIN)/docsearch serve $(SERVE_FLAGS)

test: environment ## Run the tests (ARGS='tests/search -x' chooses)
	@for browser in chromium chromium-browser google-chrome google-chrome-stable; do \
	    command -v "$$browser" >/dev/null && exit 0; done; \
	    echo 'No chromium here: the tests that drive a browser will be skipped.'
	@exec $(BIN)/pytest -n auto $(ARGS)

check: environment ## Format, lint, types, import contracts, lock file, what gets installed, documents
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	.ci/environment uv lock --check
	.ci/environment uv run --quiet --isolated --locked --no-dev --no-editable -- python -I .ci/installed.py
	$(BIN)/pytest tests/docs -n 0 --ignore tests/docs/test_examples.py

format: environment ## Rewrite the source in the house format, and fix what lint can fix
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: environment ## Measure speed and quality (long); prints what benchmarks/RESULTS.md holds
	$(BIN)/python -m benchmarks.embedding
	$(BIN)/python -m benchmarks.ingest
	$(BIN)/python -m benchmarks.http_search
	$(BIN)/python -m benchmarks.isolation
	$(BIN)/python -m benchmarks.answers
	$(BIN)/python -m benchmarks.chat
	$(BIN)/python -m benchmarks.workflows
	$(BIN)/python -m benchmarks.workflow_faults
	$(BIN)/python -m benchmarks.workflow_schedules
	$(BIN)/python -m benchmarks.startup
	for queries in $(SETS)/*/queries.jsonl; do $(BIN)/docsearch eval --data "$$(dirname "$$queries")" || exit; done

clean: ## Remove the environment and caches; documents in .docsearch/ stay
	rm -rf .venv .bootstrap .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

environment:
	@.ci/environment dev
