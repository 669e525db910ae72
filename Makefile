# `make run` needs nothing but Python 3.11, 3.12 or 3.13. Name another one with PYTHON=/path/to/python3.
VENV ?= .venv
BIN := $(VENV)/bin
PORT ?= 3000
READY := $(VENV)/.ready
INSTANCE := from basis_pipeline.settings import dagster_home, load_settings; print(dagster_home(load_settings()))
SUITABLE := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))

.DEFAULT_GOAL := help
.PHONY: help run ui up down test coverage lint format bench lock clean

help: ## show these lines
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | while IFS="$$(printf '\t')" read -r name what; do printf 'make %-8s %s\n' "$$name" "$$what"; done

# A new lock means a new environment: nothing of the old one lingers.
$(READY): requirements.lock pyproject.toml
	@python=""; \
	for candidate in $(or $(PYTHON),python3.13 python3.12 python3.11 python3 python); do \
		if "$$candidate" -c '$(SUITABLE)' >/dev/null 2>&1; then python="$$candidate"; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
		echo "No Python 3.11, 3.12 or 3.13 with its venv module was found. Install one, or name it: make PYTHON=/path/to/python3" >&2; exit 2; \
	fi; \
	echo "Making $(VENV) with $$("$$python" --version)"; \
	"$$python" -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

run: $(READY) ## backtest every mode on sample data, or on $BASIS_DATA_DIR
	@if [ -z "$$BASIS_DATA_DIR" ] && [ ! -d data/sample ]; then \
		rm -rf data/sample.partial && $(BIN)/basis data sample --out data/sample.partial && mv data/sample.partial data/sample; \
	fi
	@$(BIN)/basis run
	@echo "To look at the graph, the checks and the plots: make ui"

ui: $(READY) ## open the Dagster UI on what the runs recorded, at http://localhost:$PORT (3000)
	@DAGSTER_HOME="$$($(BIN)/python -c '$(INSTANCE)')" && export DAGSTER_HOME && \
		VIRTUAL_ENV="$(abspath $(VENV))" PATH="$(abspath $(BIN)):$$PATH" $(BIN)/dg dev --port $(PORT)

up: $(READY) ## start web interface, daemon, API and dashboard, and wait until they work
	@$(BIN)/basis platform start

down: $(READY) ## stop them
	@$(BIN)/basis platform stop

test: $(READY) ## run the tests
	$(BIN)/python -m pytest -n auto --maxprocesses 8

coverage: $(READY) ## run the tests and show what they reach
	$(BIN)/python -m pytest -n auto --maxprocesses 8 --cov

lint: $(READY) ## formatting, lint, types, the floors, security and secrets; pre-commit and CI run it too
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive basis_pipeline
	$(BIN)/detect-secrets-hook --no-verify --baseline .secrets.baseline $$(git ls-files || find basis_pipeline configs docs -type f)

format: $(READY) ## format the code and fix what ruff can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY) ## measure the engine and the pipeline
	$(BIN)/python -m benchmarks

lock: ## resolve the dependencies anew (needs uv)
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --fork-strategy fewest \
		--generate-hashes --no-strip-extras --no-annotate --no-emit-index-url --no-emit-find-links --upgrade \
		--custom-compile-command "make lock" --output-file requirements.lock

clean: ## remove the environment and the caches, never data or results
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
