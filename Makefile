# Every task of the project; `make help` lists them.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
AUDIT  := .venv-audit
PROTOS := $(sort $(wildcard protos/scrimp/v1/*.proto))
CODE   := router cache classifier training benchmarks tests protos/scrimp

SECONDS  ?= 600

TRAFFIC  ?= benchmarks/traffic/demo.jsonl
REQUESTS ?= 4000

.DEFAULT_GOAL := help
.PHONY: help setup dev demo proto fmt check test audit fuzz bench run clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/.service: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(BIN)/.dev: $(BIN)/.service
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

$(BIN)/.fuzz: $(BIN)/.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[fuzz]'
	@touch $@

setup: $(BIN)/.service  ## a venv with what the service runs on

dev: $(BIN)/.dev  ## the same, with the tools for working on it

demo: setup  ## start the service, send it traffic, show what it saved (TRAFFIC=, REQUESTS=)
	$(BIN)/python -m benchmarks demo $(TRAFFIC) --requests $(REQUESTS)

proto: dev  ## make the stubs from the protos
	$(BIN)/python -m grpc_tools.protoc -I protos --python_out=protos --grpc_python_out=protos \
	  --plugin=protoc-gen-mypy=$(BIN)/protoc-gen-mypy --plugin=protoc-gen-mypy_grpc=$(BIN)/protoc-gen-mypy_grpc \
	  --mypy_out=quiet:protos --mypy_grpc_out=quiet:protos $(PROTOS)

fmt: dev  ## format the code
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix-only --quiet $(CODE)

check: proto  ## lint, types, import rules, and stubs that match the protos
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports
	git diff --exit-code -- protos

test: dev  ## run the tests
	$(BIN)/python -m pytest -q

audit:  ## ask whether pinned dependencies are known to be vulnerable; says where it could not ask
	test -x $(AUDIT)/bin/python || $(PYTHON) -m venv $(AUDIT)
	$(AUDIT)/bin/python -m pip install --quiet --disable-pip-version-check pip-audit==2.10.1 || \
	  { echo "audit: NOT done: pip-audit could not be installed" >&2; exit 2; }
	$(AUDIT)/bin/python tests/audit.py $(AUDIT)/bin/pip-audit constraints.txt

fuzz: $(BIN)/.fuzz  ## look for inputs that trip parsers, translation and HTTP (SECONDS= for each of both)
	PYTHONPATH=.:protos:tests $(BIN)/python -m fuzz.parsers --seconds $(SECONDS)
	PYTHONPATH=.:protos:tests $(BIN)/python -m fuzz.http_face --seconds $(SECONDS)

bench: setup  ## the benchmarks on the labelled data (SCRIMP_DATA), results to benchmarks/results
	$(BIN)/python -m benchmarks all

run: setup  ## start the service on embedded defaults
	$(BIN)/scrimp serve

clean:  ## remove what was built
	rm -rf $(VENV) $(AUDIT) .mypy_cache .ruff_cache .pytest_cache .hypothesis .fuzz .schemathesis build dist .demo
