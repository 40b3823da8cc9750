# make demo   the whole method on generated scenes, from nothing
# make test   linter, formatter, types, tests
#
# The pinned torch is a CPU build wherever the package index offers one. Where it offers CUDA
# builds only, name an index of CPU builds: make demo PIP_FLAGS="--extra-index-url ..."

PYTHON ?= python3
PIP_FLAGS ?=
VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps
PINS := pyproject.toml constraints.txt
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) -c constraints.txt

.PHONY: demo test clean
.DELETE_ON_ERROR:

demo: $(STAMPS)/installed
	$(BIN)/matir demo --out build/demo

test: $(STAMPS)/installed-test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy --strict
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(STAMPS)/venv:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv $(VENV)
	mkdir -p $(STAMPS)
	touch $@

$(STAMPS)/installed: $(PINS) | $(STAMPS)/venv
	$(INSTALL) -e .
	touch $@

$(STAMPS)/installed-test: $(PINS) | $(STAMPS)/venv
	$(INSTALL) -e '.[test]'
	touch $@ $(STAMPS)/installed
