# One word each. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# PyTorch comes in as many builds as there are machines: `make torch`.
LOCKED_EXTRAS := grpc lightgbm litert mcp otel pictures plots quantize webrtc

.PHONY: help torch setup run demo test check format bench soak audit lock typescript clean
.DEFAULT_GOAL := help

help: ## what there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

setup: $(VENV)/.base ## .venv with everything that running needs

run: setup ## the server, on 127.0.0.1:8484
	@$(BIN)/sensorium serve $(ARGS)

demo: setup ## real input through every capability (LOG=file METRICS=file.csv for your own)
	@$(BIN)/sensorium demo $(if $(LOG),--log "$(LOG)") $(if $(METRICS),--metrics "$(METRICS)")

test: $(VENV)/.dev ## the whole suite
	@$(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist loadfile $(ARGS)

check: $(VENV)/.dev ## format, lint, types, contracts
	@$(BIN)/ruff format --check src tests benchmarks scripts
	@$(BIN)/ruff check src tests benchmarks scripts
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

format: $(VENV)/.dev ## put the code in its standard form
	@$(BIN)/ruff format src tests benchmarks scripts
	@$(BIN)/ruff check --fix src tests benchmarks scripts

bench: $(VENV)/.dev ## speed and accuracy beside peers, into docs/benchmarks.md
	@$(BIN)/python -m benchmarks $(ARGS)

soak: $(VENV)/.dev ## the long drills: minutes of load with kills
	@$(BIN)/pytest -m soak $(ARGS)

audit: $(VENV)/.dev ## known vulnerabilities and licences of what we depend on
	@$(BIN)/python scripts/licences.py requirements/base.lock
	@$(BIN)/pip-audit --strict --require-hashes -r requirements/base.lock

lock: ## the lock files anew (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	  pyproject.toml --group build -o requirements/base.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	  pyproject.toml $(addprefix --extra ,$(LOCKED_EXTRAS)) --group build --group dev -o requirements/dev.lock

torch: $(VENV)/.dev ## PyTorch and Transformers, for the tests of their models
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements/torch.txt

typescript: $(VENV)/.base ## the types of the TypeScript client anew (needs npm)
	@cd clients/typescript && npm ci --silent --no-audit --no-fund && \
	  ../../$(BIN)/python ../../scripts/openapi.py | npm run --silent generate

clean: ## remove what set-up and tests made
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist \
	  $(addprefix clients/typescript/,node_modules build dist)

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "Sensorium needs Python 3.11 or newer; try: make $(or $(MAKECMDGOALS),setup) PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "Python's venv module is missing; on Debian and Ubuntu: sudo apt install python3-venv"; exit 1; }
	@echo "making $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.base: requirements/base.lock pyproject.toml | $(VENV)/.python
	@echo "installing what requirements/base.lock lists"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/base.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements/dev.lock $(VENV)/.base
	@echo "installing what requirements/dev.lock lists"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	@touch $@
