# make demo           the whole method on generated scenes, from nothing
# make test           linters, formatters, types, all tests
# make test-slow      the fuzz tests with 10,000 cases each, writer and readers for a minute
# make test-browser   only the widgets in Chromium and JupyterLab
# make test-others    the export to supervision, with the real package; with FiftyOne, too, once it is
#                     installed in build/others
# make notebooks      run the tutorials and store what they show, as static views
# make binder-check   what Binder would build and start, and the tutorials in such an environment
# make wheel-check    the wheel in bare virtual environments
# make docs           the pages into build/site, strictly, and every example in them
# make static         the widgets' JavaScript, into matir_nb/static
#
# The pinned torch is a CPU build wherever the package index offers one. Where it offers CUDA
# builds only, name an index of CPU builds: make demo PIP_FLAGS="--extra-index-url ..."
# A browser that is not on PATH is named by MATIR_CHROMIUM=/path/to/chromium.

PYTHON ?= python3
NPM ?= npm
PIP_FLAGS ?=
VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps
STATIC := matir_nb/static/build.json
PINS := pyproject.toml constraints.txt
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) -c constraints.txt
PYTEST = MATIR_REQUIRE_BROWSER=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest
JS_PACKAGES := js/package.json js/package-lock.json
JS_SOURCES := $(JS_PACKAGES) js/build.mjs js/tsconfig.json $(shell find js/src -type f)
HAS_NODE := command -v $(NPM) >/dev/null && node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)'

# The demo needs no widgets: without Node.js it goes on without them (hatch_build.py says so).
STATIC_FOR_DEMO := $(if $(shell command -v $(NPM)),$(STATIC))

.PHONY: demo test test-slow test-browser test-others static browser notebooks binder-check \
  wheel-check docs clean
.DELETE_ON_ERROR:

demo: $(STATIC_FOR_DEMO) $(STAMPS)/installed
	$(BIN)/matir demo --out build/demo

test: $(STATIC) $(STAMPS)/installed-test browser
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy --strict
	cd js && $(NPM) run --silent check
	cd js && $(NPM) run --silent test
	$(PYTEST)

test-slow: $(STATIC) $(STAMPS)/installed-test
	MATIR_SLOW=1 $(PYTEST) tests/fuzz tests/test_concurrency.py

test-browser: $(STATIC) $(STAMPS)/installed-test browser
	$(PYTEST) tests/browser

test-others: $(STATIC_FOR_DEMO)
	$(PYTHON) -m venv build/others
	build/others/bin/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) \
	  -c constraints.txt -e . pytest hypothesis supervision
	build/others/bin/python -m pytest tests/exports/test_others.py

static: $(STATIC)

notebooks: $(STATIC) $(STAMPS)/installed-test
	$(BIN)/python notebooks/run.py

binder-check: browser
	$(PYTHON) binder/check.py

wheel-check: $(STATIC)
	PIP_FLAGS="$(PIP_FLAGS)" $(PYTHON) tests/release/check_wheel.py

docs: $(STATIC) $(STAMPS)/installed-test
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	$(PYTEST) tests/docs

browser:
	@tests/browser/chromium.sh

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	rm -rf js/node_modules matir_nb/static tests/output notebooks/gallery

$(STAMPS)/venv:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv $(VENV)
	mkdir -p $(STAMPS)
	touch $@

$(STAMPS)/installed: $(PINS) hatch_build.py | $(STAMPS)/venv $(STATIC_FOR_DEMO)
	$(INSTALL) -e .
	touch $@

$(STAMPS)/installed-test: $(PINS) hatch_build.py | $(STAMPS)/venv $(STATIC)
	$(INSTALL) -e '.[test]'
	touch $@ $(STAMPS)/installed

js/node_modules/.installed: $(JS_PACKAGES)
	@$(HAS_NODE) || { echo "The widgets are built by Node.js 20 or newer with npm, and there is none:"; \
	  echo "install it from https://nodejs.org (or apt-get install nodejs npm), then make again."; exit 1; } >&2
	cd js && $(NPM) ci --no-audit --no-fund
	touch $@

$(STATIC): $(JS_SOURCES) js/node_modules/.installed
	cd js && $(NPM) run --silent build
	touch $@
