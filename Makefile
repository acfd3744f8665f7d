# Three commands and a benchmark; each makes the environment first if it is missing.
VENV ?= .venv
PYTHON ?= $(shell command -v python3.11 || command -v python3)
TORCH ?= torch torchvision
BIN := $(VENV)/bin
READY := $(VENV)/.installed
BENCH ?= build/bench-venv

.PHONY: demo check test bench

demo: $(READY)
	$(BIN)/python examples/mnist_mlp.py

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist loadfile -q

# The frameworks that kerastorch is compared with live in an environment of their own.
bench: $(BENCH)/.installed
	$(BENCH)/bin/python examples/benchmarks/run.py --report $(ARGS)

$(BENCH)/.installed: pyproject.toml
	test -x $(BENCH)/bin/python || $(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet $(TORCH)
	$(BENCH)/bin/python -m pip install --quiet --editable '.[bench]'
	touch $@

# torch comes first, so that its build can be chosen: make TORCH="torch torchvision --index-url ..."
$(READY): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(TORCH)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@
