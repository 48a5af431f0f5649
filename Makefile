# Everything this repository does, from a fresh checkout: needs make and Python ≥ 3.11, never root.

PYTHON ?= python3
TORCH ?= torch==2.13.0
PROFILE ?= quick
WORKERS ?= 2
PYTEST := -m pytest --numprocesses $(WORKERS) --dist worksteal

BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --quiet --disable-pip-version-check
LOCKED := .venv/.locked
READY := .venv/.ready
INSTALLING := .venv/.installing
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
SOURCES := _config.yml _toc.yml ARCHITECTURE.md references.bib requirements.lock assets chapters

# Ruff, mypy, import-linter and deptry are told nothing here: their settings stand in pyproject.toml.

.DEFAULT_GOAL := help
.PHONY: help book pdf test test-fast nightly check format links determinism canary audit release chapter address weights bench clean strip

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "  PROFILE=quick|full       sizes for two cores, or the paper's sizes for a GPU"
	@echo "  PYTHON=python3.12        the interpreter of a new .venv"
	@echo "  TORCH_INDEX_URL=<url>    a further index for torch; empty: none (left out: the CPU build's, without an NVIDIA GPU)"
	@echo "  CHROMIUM=<path>          the browser of the tests and of make pdf (left out: one is looked for, or brought)"
	@echo "  WORKERS=2                tests that run at once"

book: $(READY)  ## execute the chapters and build the book into _build/html
	@echo "Building the book, profile $(PROFILE)"
	@$(BIN)/demod build --profile $(PROFILE)
	@echo "The book is _build/html/index.html"

test: $(READY)  ## run what a change can break, once: style, contracts, the book, the tests
	@$(MAKE) --no-print-directory check
	@$(MAKE) --no-print-directory book PROFILE=quick
	@echo "Running the tests"
	@$(call with_browser,$(BIN)/python,-m 'not nightly')

test-fast: check  ## check style and contracts, and run the tests of the science: a minute and a quarter
	@$(BIN)/python $(PYTEST) -m 'not nightly and not processes' tests/science tests/book/test_reference.py

nightly: $(READY)  ## run every check in its full depth, with coverage in _build/coverage
	@$(MAKE) --no-print-directory check
	@$(MAKE) --no-print-directory book PROFILE=quick
	@echo "Running the tests in their full depth"
	@$(call with_browser,$(BIN)/python,--cov --cov-report html --cov-report term:skip-covered)

check: $(READY)  ## check style, formatting, types, layers and declared imports
	@echo "Checking style, formatting, types, layers and imports"
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/deptry demod demod_book benchmarks

format: $(READY)  ## format the code, strip outputs from the chapters
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format
	@$(MAKE) --no-print-directory strip

links: book  ## follow every link of the book to other hosts
	@$(BIN)/jupyter-book build _build/stage --path-output _build/links --builder linkcheck

determinism: $(READY)  ## execute the book twice and compare the arrays behind its figures bit for bit
	@rm -rf _build/twice
	@for copy in first second; do \
	  mkdir -p _build/twice/$$copy && cp -R $(SOURCES) _build/twice/$$copy && \
	  $(BIN)/demod build --profile $(PROFILE) --root _build/twice/$$copy || exit 1; done
	@$(BIN)/demod compare _build/twice/first _build/twice/second

canary:  ## build and test with the newest packages that pyproject.toml allows, in _build/canary
	@rm -rf _build/canary && $(PYTHON) -m venv _build/canary
	@$(torch_index) _build/canary/bin/python -m pip install --quiet --quiet $$index torch --editable .[dev]
	@_build/canary/bin/demod build
	@$(call with_browser,_build/canary/bin/python,-m 'not nightly' --ignore tests/book/test_repository.py)

audit: $(LOCKED)  ## look the packages of requirements.lock up among the known vulnerabilities
	@test -x _build/audit/bin/pip-audit || { $(PYTHON) -m venv _build/audit; \
	  _build/audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit; }
	@echo '$(TORCH)' > _build/audit/torch.txt
	@_build/audit/bin/pip-audit --strict --disable-pip --no-deps --requirement requirements.lock --requirement _build/audit/torch.txt

pdf: book  ## print the book as one PDF, _build/demod.pdf (minutes)
	@browser="$$($(BIN)/python -m demod_book.paper.browser)" || { echo "$$browser" >&2; exit 1; }; \
	  CHROMIUM="$$browser" $(BIN)/demod pdf

release: pdf  ## pack the book, its PDF and the package, with checksums, into _build/release
	@rm -rf _build/release && mkdir -p _build/release
	@cp _build/demod.pdf _build/release/demod-book-$(VERSION).pdf
	@cd _build/html && ../../$(BIN)/python -m zipfile -c ../release/demod-book-$(VERSION).zip .
	@rm -rf build && $(PIP) wheel --no-deps --no-build-isolation --wheel-dir _build/release . && rm -rf build
	@cd _build/release && sha256sum * > SHA256SUMS && cat SHA256SUMS

chapter:  ## begin the chapter NAME=<slug> from templates/chapter.ipynb
	@echo "$(NAME)" | grep -Eqx '[a-z][a-z0-9-]*' || { \
	  echo "Give the chapter a name of lower case letters, digits and hyphens: make chapter NAME=momentum" >&2; exit 1; }
	@test ! -e chapters/$(NAME).ipynb || { echo "chapters/$(NAME).ipynb is there already." >&2; exit 1; }
	@sed 's/CHAPTER/$(NAME)/g' templates/chapter.ipynb > chapters/$(NAME).ipynb
	@echo "chapters/$(NAME).ipynb is yours: list it in _toc.yml, then '$(BIN)/demod build --chapter $(NAME)' runs it alone"

address: $(READY)  ## give the repository its address, URL=<url>: launch buttons, and what Colab installs
	@$(BIN)/demod address "$(URL)"

weights: $(READY)  ## train all priors and encoders and ship them in demod/weights (hours on a CPU)
	@for prior in distortions digits digits-tuned \
	  relu-digits relu-bump relu-bumps relu-edge relu-stripes relu-digit encoder encoder-refinement relu-encoder; do \
	  $(BIN)/demod train $$prior || exit 1; done

bench: $(READY)  ## run the comparisons of benchmarks/
	@$(BIN)/demod bench

clean:  ## remove the built book and all caches; .venv stays
	rm -rf _build build chapters/_build .pytest_cache .ruff_cache .mypy_cache .import_linter_cache

# What JupyterLab writes into a notebook beside its text: the kernel's version and the folds of its panels.
LANGUAGE := codemirror_mode file_extension mimetype nbconvert_exporter pygments_lexer version
CELL := editable execution jupyter slideshow trusted
STRIPPED := $(addprefix metadata.language_info.,$(LANGUAGE)) $(addprefix cell.metadata.,$(CELL))

strip:
	@$(BIN)/nbstripout --keep-id --extra-keys "$(STRIPPED)" chapters/*.ipynb templates/*.ipynb

# Run pytest with the interpreter $(1) and the options $(2). Without a browser, all other tests run, and the last line says
# how to get one.
define with_browser
browser="$$($(1) -m demod_book.paper.browser)" && pages= || pages="--ignore tests/pages"; \
  CHROMIUM="$$browser" $(1) $(PYTEST) $(2) $$pages; status=$$?; \
  if [ -n "$$pages" ]; then echo "$$browser" >&2; exit 1; fi; exit $$status
endef

# Where torch comes from: $$index is what pip is told. On Linux the registry's build brings 4 GB of CUDA, so that without an
# NVIDIA GPU the index of the CPU builds is preferred if it answers at once. Whoever sets TORCH_INDEX_URL decides.
CPU_BUILDS := https://download.pytorch.org/whl/cpu
ANSWERS := import os, threading as t, urllib.request as u; \
  limit = t.Timer(5, os._exit, [1]); limit.daemon = True; limit.start(); \
  u.urlopen("$(CPU_BUILDS)/torch/", timeout=4).read(1)
NVIDIA := $(wildcard /dev/nvidia0 /proc/driver/nvidia)$(shell command -v nvidia-smi 2> /dev/null)
ifeq ($(origin TORCH_INDEX_URL),undefined)
torch_index = index=; if [ "$$(uname -sm)$(NVIDIA)" = "Linux x86_64" ] && $(PYTHON) -c '$(ANSWERS)' 2> /dev/null; \
  then index="--extra-index-url $(CPU_BUILDS)"; fi;
else
torch_index = index=$(if $(TORCH_INDEX_URL),"--extra-index-url $(TORCH_INDEX_URL)");
endif

# The environment. A stale one is brought up to date in place; one whose installation was cut off starts over.

$(READY): $(LOCKED) pyproject.toml
	@echo "Installing demod into .venv"
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@problems="$$($(PIP) --verbose --verbose check)" || { echo "$$problems" >&2; exit 1; }
	@touch $@

$(LOCKED): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(PYTHON) is no Python that runs, or older than 3.11: name another with PYTHON=<path>." >&2; exit 1; }
	@if [ -e $(INSTALLING) ]; then echo "Removing .venv, whose installation was cut off"; rm -rf .venv; fi
	@test -x $(BIN)/python || { echo "Creating .venv"; $(PYTHON) -m venv .venv; }
	@rm -f $(LOCKED) && touch $(INSTALLING)
	@echo "Installing $(TORCH)"
	@$(torch_index) $(PIP) install $$index --constraint requirements.lock '$(TORCH)'
	@echo "Installing the packages of requirements.lock (a few minutes)"
	@$(PIP) install --requirement requirements.lock
	@rm $(INSTALLING) && touch $@
