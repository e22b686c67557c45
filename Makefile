# Two commands on a fresh machine: `make demo` and `make test`. Both set up .venv by themselves.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: demo test test-all lint types clean

$(READY): pyproject.toml .ci/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "gammawall needs Python 3.11 or newer, got %s: set PYTHON=/path/to/python" % sys.version.split()[0])'
	@echo "setting up $(VENV) (once)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint .ci/constraints.txt --editable '.[test,lint]'
	@touch $@

demo: $(READY)
	@$(BIN)/gammawall run pin-7000

test: $(READY)
	@$(BIN)/python -m pytest -n 2 -m 'not slow' tests

test-all: $(READY)
	@$(BIN)/python -m pytest -n 2 tests

lint: $(READY)
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: $(READY)
	@$(BIN)/basedpyright --level error

clean:
	rm -rf $(VENV) build *.egg-info runs
