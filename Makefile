# Every command a person needs. Each makes its own virtual environment first; `make` alone lists them.

PYTHON ?= python3
VENV   ?= .venv
ARGS   ?=

BIN := $(VENV)/bin
SERVE_READY := $(VENV)/.ready-to-serve
DEV_READY := $(VENV)/.ready-to-develop

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help serve test test-docker fuzz check check-format check-lint check-types check-layers check-protos check-docs check-locks format protos docs audit sbom lock dev clean

help: ## List these commands
	@echo "seqserve: make <command>"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  ARGS=… goes to the program:     make serve ARGS='--port 50052'    make test ARGS='-k session -x'"
	@echo "  PYTHON=… picks the interpreter: make serve PYTHON=python3.12"

serve: $(SERVE_READY) ## Install what serving needs (no torch) and serve the shipped models on 127.0.0.1:50051
	@exec $(BIN)/seqserve serve $(ARGS)

test: $(DEV_READY) ## Install everything and run the tests
	$(BIN)/python -m pytest $(ARGS)

test-docker: $(DEV_READY) ## Build the image and test it, and deploy/compose.yaml, with a Docker engine
	$(BIN)/python -m pytest --docker tests/docker $(ARGS)

fuzz: $(DEV_READY) ## Fuzz every reader and every call, coverage guided, for a while each: ARGS='--seconds 300 recordings'
	@$(BIN)/python -m tests.fuzz $(ARGS)

check: check-format check-lint check-types check-layers check-protos check-docs check-locks ## Run every check: format, lint, types, layers, protos, docs, locks

check-format: $(DEV_READY)
	$(BIN)/ruff format --check .

check-lint: $(DEV_READY)
	$(BIN)/ruff check .

check-types: $(DEV_READY)
	$(BIN)/mypy

check-layers: $(DEV_READY)
	$(BIN)/lint-imports

check-protos: $(DEV_READY)
	$(BIN)/buf lint protos
	$(BIN)/python protos/generate.py --check

check-docs: $(DEV_READY)
	$(BIN)/python docs/generate.py --check

check-locks: $(DEV_READY)
	$(BIN)/python requirements/lock.py --check

format: $(DEV_READY) ## Format the code and fix what the linter can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

protos: $(DEV_READY) ## Generate the wire code anew from protos/
	$(BIN)/python protos/generate.py

docs: $(DEV_READY) ## Write into docs/ what comes from the code: modules, settings, errors, metrics
	$(BIN)/python docs/generate.py

audit: $(DEV_READY) ## Ask whether what images install has known vulnerabilities; says what it could not find out
	@$(BIN)/python requirements/audit.py $(ARGS)

sbom: $(DEV_READY) ## Write what images install to build/sbom.json (CycloneDX)
	@$(BIN)/python requirements/sbom.py $(ARGS)

lock: $(DEV_READY) ## Resolve anew what images install, with hashes: requirements/*.txt
	$(BIN)/python requirements/lock.py $(ARGS)

dev: $(DEV_READY) ## Install everything that training, tests and checks need

clean: ## Remove the virtual environment and everything built
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

# A stamp per set of packages, so that both live in one environment and neither installs twice.

$(SERVE_READY): pyproject.toml
	@$(make-venv)
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(DEV_READY): pyproject.toml
	@$(make-venv)
	$(BIN)/python -m pip install --quiet --editable '.[train,redis,otel,pictures,datasets,bench,dev,fuzz]'
	@touch $(SERVE_READY) $@

# An environment that an interrupt left without pip is made again.
define make-venv
$(BIN)/python -m pip --version >/dev/null 2>&1 && exit 0; \
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
  echo "seqserve needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1 || true)" >&2; \
  echo "Name another interpreter: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }; \
echo "Making $(VENV) with $$($(PYTHON) --version)"; \
$(PYTHON) -m venv $(VENV) || { \
  echo "Could not make $(VENV); on Debian and Ubuntu the module comes with: apt install python3-venv" >&2; exit 1; }
endef
