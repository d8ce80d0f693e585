PYTHON ?= python3
BIN := .venv/bin

.PHONY: verify mini test lint types contracts bench bench-nn bench-cifar bench-scale wheel clean

verify: .venv/ready
	$(BIN)/python -m validation $(ARGS)

mini: .venv/ready
	$(BIN)/python -m paper_repro mini $(if $(CIFAR),--data "$(CIFAR)") $(ARGS)

test: .venv/ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto $(ARGS)

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/ready
	$(BIN)/basedpyright

contracts: .venv/ready
	$(BIN)/lint-imports

bench: .venv/ready .venv/peers-ready
	$(BIN)/python -m benchmarks all $(if $(W),--only $(W)) $(ARGS)

bench-scale: .venv/ready .venv/peers-ready
	$(BIN)/python -m benchmarks scale $(ARGS)

bench-nn: .venv/ready .venv/peers-ready
	$(BIN)/python -m benchmarks nn $(ARGS)

bench-cifar: .venv/ready
	$(BIN)/python -m benchmarks cifar $(ARGS)

wheel: .venv/ready
	$(BIN)/python -m build --no-isolation --outdir dist .

.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make PYTHON=...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip==26.3
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[all]' --group dev
	touch $@

# In a folder of their own, which only a benchmark looks into: they replace nothing, and torch stays what it is.
.venv/peers-ready: .venv/ready
	$(BIN)/python -m pip install --quiet --no-deps --upgrade --target .venv/peers --group peers
	touch $@

clean:
	rm -rf .venv out dist build
