.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3

help:  ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

$(VENV)/.installed: requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || { echo "polybot needs Python 3.11 to 3.13; name one with: make PYTHON=/path/to/python $(MAKECMDGOALS)" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.lock
	@$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements-dev.lock requirements-uv.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

setup: $(VENV)/.installed  ## Make the environment in .venv from the lock files

lock:  ## Resolve the dependencies again
	$(BIN)/uv pip compile -q pyproject.toml --universal --generate-hashes --no-emit-index-url --no-annotate --custom-compile-command "make lock" --upgrade -o requirements.lock
	$(BIN)/uv pip compile -q pyproject.toml --group dev -c requirements.lock --universal --generate-hashes --no-emit-index-url --no-annotate --custom-compile-command "make lock" --upgrade -o requirements-dev.lock

demo: setup  ## Play 8 windows on the sandbox venue through Prefect, and show what came of it
	@$(BIN)/polybot demo $(ARGS)

up: setup  ## Trade on paper on the live venue, on schedule, until Ctrl-C
	@$(BIN)/polybot up $(ARGS)

test: setup  ## Run all tests, side by side
	@$(MAKE) --no-print-directory --output-sync=line -j3 test-stack test-parts test-unit

test-stack: setup  # What needs a real Prefect server, and the short form of the chaos
	CHAOS_FORM=short $(BIN)/python -m pytest tests/e2e tests/flows tests/chaos tests/simulation $(ARGS)

test-parts: setup  # What needs a database, a process or a socket
	$(BIN)/python -m pytest tests/contract tests/deployments tests/sandbox $(ARGS)

test-unit: setup  # Everything else
	$(BIN)/python -m pytest tests/unit $(ARGS)

coverage: setup  ## Show that the money paths are covered, branch by branch
	$(BIN)/python -m pytest -q --cov-branch --cov-report=term-missing --cov-fail-under=95 \
	  $(addprefix --cov=polybot.,accounting adapters.paper domain.matching execution limits look_ups risk) \
	  tests/unit/test_accounting.py tests/unit/test_execution.py \
	  tests/unit/test_execution_reconciling.py tests/unit/test_matching.py \
	  tests/unit/test_paper.py tests/unit/test_paper_resting.py tests/unit/test_risk.py \
	  tests/unit/test_risk_orders.py tests/contract/test_exchange.py

chaos: setup  ## Kill, break, race and fuzz the bot; CHAOS_FORM=short, ci or long, CHAOS_MINUTES=n a part
	CHAOS_FORM=$(or $(CHAOS_FORM),ci) $(BIN)/python -m pytest tests/chaos $(if $(filter short,$(CHAOS_FORM)),tests/simulation) $(ARGS)
	$(if $(filter short,$(CHAOS_FORM)),,CHAOS_FORM=$(or $(CHAOS_FORM),ci) $(BIN)/python -m tests.simulation)
	$(if $(filter short,$(CHAOS_FORM)),,CHAOS_FORM=$(or $(CHAOS_FORM),ci) $(BIN)/python -m pytest tests/unit/test_polymarket_signing_oracles.py tests/unit/test_wire_fuzz.py $(ARGS))

check: setup  ## Format, lint, types, import contracts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup  ## Measure how long an order takes, against the official clients and the floor
	$(BIN)/python benchmarks/bench_signing.py
	$(BIN)/python benchmarks/bench_order.py $(ARGS)
	$(BIN)/python -m benchmarks.bench_recovery
	$(BIN)/python benchmarks/bench_firehose.py
	$(BIN)/python benchmarks/bench_copy.py
	$(BIN)/python benchmarks/bench_copy_venue.py

clean:  ## Remove the environment and every cache, but no ledger
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help setup lock demo up test test-stack test-parts test-unit coverage chaos check bench clean
