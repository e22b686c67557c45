# Two commands on a fresh machine: `make demo` and `make test`. Both set up what they need by themselves.
PYTHON ?= python3
NEWEST := $(shell .ci/newest-python)
BIN    := .venv/bin
# The other end of the supported versions, where such an interpreter exists and is not the default one.
OTHER  := $(if $(NEWEST),$(shell $(PYTHON) -c 'import sys; print("" if sys.version_info >= (3, 12) else ".venv-newest")'))

.PHONY: demo test test-all docs bench bench-check figures lint types clean fuzz mutants

demo: .venv/.ready
	@$(BIN)/gammawall run pin-7000

test: .venv/.ready
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m 'not slow' tests

test-all: .venv/.ready $(OTHER:%=%/.ready)
	@$(BIN)/python -m pytest -n 2 --dist loadfile tests
	@$(if $(OTHER),echo "the fast ones on $(NEWEST)" && $(OTHER)/bin/python -m pytest -n 2 --dist loadfile -m 'not slow' tests)

docs: .venv/.ready
	@$(BIN)/python -m sphinx -W -E -q -b html docs build/site && echo "build/site/index.html"

figures: .venv/.ready
	@$(BIN)/gammawall run pin-7000 --quiet && $(BIN)/gammawall ledger --quiet && $(BIN)/python docs/figures.py

# docs/reliability.md quotes both.
fuzz: .venv/.ready
	@$(BIN)/python tests/helpers/fuzz.py --inputs 20000 --seed 1

mutants: .venv/.ready
	@$(BIN)/python tests/helpers/mutants.py --count 40 --seed 1

bench: .venv/.ready .venv/.peers
	@$(BIN)/python bench/run.py --json bench/results/cpu.json && $(BIN)/python bench/table.py bench/results/cpu.json docs/speed.md README.md

bench-check: .venv/.ready
	@$(BIN)/python bench/check.py

# The libraries it compares with, where they can be had; without them the bench says so and goes on.
.venv/.peers: .venv/.ready
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint .ci/constraints.txt \
	  --editable '.[bench]' && touch $@ || echo "the peers could not be installed"

lint: .venv/.ready
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: .venv/.ready
	@$(BIN)/basedpyright --level error

.venv/.ready: pyproject.toml .ci/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "gammawall needs Python 3.11 or newer, got %s: run make PYTHON=/path/to/python" % sys.version.split()[0])'
	@echo "setting up .venv (once)"
	@$(call install,$(PYTHON),.venv)

.venv-newest/.ready: pyproject.toml .ci/constraints.txt
	@echo "setting up .venv-newest for $(NEWEST) (once)"
	@$(call install,$(NEWEST),.venv-newest)

define install
$(1) -m venv $(2) && $(2)/bin/python -m pip install --quiet --disable-pip-version-check \
  --constraint .ci/constraints.txt --editable '.[test,lint]' && touch $(2)/.ready
endef

clean:
	rm -rf .venv .venv-newest build *.egg-info runs
