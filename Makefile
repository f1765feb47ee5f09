# Everything here sets up what it needs: python3 with venv, and make, are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PYTHONSAFEPATH := 1
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes

LOCK := uv pip compile pyproject.toml --extra homeserver --group build --universal --generate-hashes \
    --python-version 3.11 --no-header --no-build --quiet

.PHONY: help demo test test-long test-model test-workers test-js check up bench docs format lock verifier test-compose clean

help: ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

$(VENV)/.runtime: requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing what Conclave needs into $(VENV) (once) ..."
	@$(PIP) -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements-dev.lock
	@echo "Installing what its tests need into $(VENV) (once) ..."
	@$(PIP) -r requirements-dev.lock
	@touch $@

demo: $(VENV)/.runtime ## the whole story on an empty state directory; HUB=URL tells it against a running hub
	@$(BIN)/python -m bridge.demo $(if $(HUB),--hub $(HUB))

up: $(VENV)/.runtime ## a hub to play with, in .conclave
	@$(BIN)/conclave up

test: $(VENV)/.dev ## the tests, in parallel; all but those below
	@$(BIN)/python -m pytest -n 2 --dist worksteal -m "not long"

test-long: $(VENV)/.dev ## hub, helper and Synapse killed over and over; two Synapses that federate
	@$(BIN)/python -m pytest -n 2 --dist worksteal -m long

test-model: $(VENV)/.dev ## random commands, clients, crashes: longer, and against a real Synapse
	@CONCLAVE_MODEL_EXAMPLES=40 CONCLAVE_MODEL_LIVE=4 $(BIN)/python -m pytest -n 2 tests/reconcile/test_model.py tests/reconcile/test_model_live.py

check: $(VENV)/.dev ## format, lint, types, layers, dead code, dependencies
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/vulture
	@$(BIN)/deptry .

format: $(VENV)/.dev ## rewrite the code in the house format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(VENV)/.dev ## the measurements of benchmarks/README.md
	@$(BIN)/python -m benchmarks

docs: $(VENV)/.dev ## write the generated documents anew
	@$(BIN)/python docs/generate.py
	@$(BIN)/python -m tests.silence.document

verifier: $(VENV)/.runtime ## the offline verifier as one file, dist/conclave-verify.pyz
	@$(BIN)/python -m audit.zipped dist/conclave-verify.pyz
	@echo "dist/conclave-verify.pyz: needs Python 3.11 and the package cryptography"

test-compose: $(VENV)/.dev ## build and run docker-compose.yml for real, and tell the story against it
	@$(BIN)/python -m pytest tests/compose -p no:xdist --run-compose

test-workers: $(VENV)/.dev ## the attack suite on a Synapse with two workers, Redis and PostgreSQL
	@$(BIN)/python -m pytest tests/workers -p no:xdist --run-workers

test-js: $(VENV)/.dev ## the helper with matrix-js-sdk, Element's own stack; needs Node and npm
	@$(BIN)/python -m pytest tests/js -p no:xdist --run-js

lock: ## rewrite the lock files from pyproject.toml (needs uv)
	$(LOCK) --group dev -o requirements-dev.lock
	$(LOCK) -c requirements-dev.lock -o requirements.lock

clean: ## remove what was built; a hub's .conclave stays
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
