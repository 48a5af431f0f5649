# Everything this repository does, from a fresh checkout: needs make and Python ≥ 3.11, never root.

PYTHON ?= python3
TORCH ?= torch==2.13.0
TORCH_INDEX_URL ?=
PROFILE ?= quick
CHROMIUM ?= $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)

BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
LOCKED := .venv/.locked
READY := .venv/.ready
INSTALLING := .venv/.installing
EXTRA_INDEX := $(if $(TORCH_INDEX_URL),--extra-index-url $(TORCH_INDEX_URL))
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
SOURCES := _config.yml _toc.yml ARCHITECTURE.md references.bib requirements.lock assets chapters

# Ruff, mypy and pytest are told nothing here: their settings stand in pyproject.toml.

.DEFAULT_GOAL := help
.PHONY: help book test check format links determinism canary audit release chapter address weights bench clean chromium

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "  PROFILE=quick|full       sizes for two cores, or the paper's sizes for a GPU"
	@echo "  PYTHON=python3.12        the interpreter of a new .venv"
	@echo "  TORCH_INDEX_URL=<url>    a further index for torch, e.g. https://download.pytorch.org/whl/cpu (no CUDA)"

book: $(READY)  ## execute the chapters and build the book into _build/html
	@echo "Building the book, profile $(PROFILE)"
	@$(BIN)/demod build --profile $(PROFILE)
	@echo "The book is _build/html/index.html"

test: $(READY) chromium  ## run every check: style, the book, all tests
	@$(MAKE) --no-print-directory check
	@$(MAKE) --no-print-directory book PROFILE=quick
	@echo "Running the tests"
	@CHROMIUM="$(CHROMIUM)" $(BIN)/python -m pytest

check: $(READY)  ## check style, formatting and types
	@echo "Checking style, formatting and types"
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

format: $(READY)  ## format the code, strip outputs from the chapters
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format
	@$(BIN)/nbstripout --keep-id chapters/*.ipynb templates/*.ipynb

links: book  ## follow every link of the book to other hosts
	@$(BIN)/jupyter-book build _build/stage --path-output _build/links --builder linkcheck

determinism: $(READY)  ## execute the book twice and compare the arrays behind its figures bit for bit
	@rm -rf _build/twice
	@for copy in first second; do \
	  mkdir -p _build/twice/$$copy && cp -R $(SOURCES) _build/twice/$$copy && \
	  $(BIN)/demod build --profile $(PROFILE) --root _build/twice/$$copy || exit 1; done
	@$(BIN)/demod compare _build/twice/first _build/twice/second

canary: chromium  ## build and test with the newest packages that pyproject.toml allows, in _build/canary
	@rm -rf _build/canary && $(PYTHON) -m venv _build/canary
	@_build/canary/bin/python -m pip install --quiet $(EXTRA_INDEX) torch --editable .[dev]
	@_build/canary/bin/demod build
	@CHROMIUM="$(CHROMIUM)" _build/canary/bin/python -m pytest --ignore tests/test_repository.py

audit: $(LOCKED)  ## look the packages of requirements.lock up among the known vulnerabilities
	@test -x _build/audit/bin/pip-audit || { $(PYTHON) -m venv _build/audit; \
	  _build/audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit; }
	@echo '$(TORCH)' > _build/audit/torch.txt
	@_build/audit/bin/pip-audit --strict --disable-pip --no-deps --requirement requirements.lock --requirement _build/audit/torch.txt

release: book  ## pack the book and the package, with checksums, into _build/release
	@rm -rf _build/release && mkdir -p _build/release
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

weights: $(READY)  ## train all priors and ship them in demod/weights (hours on a CPU)
	@$(BIN)/demod train distortions
	@$(BIN)/demod train digits
	@for prior in digits-tuned relu-digits relu-bump relu-bumps relu-edge relu-stripes relu-digit; do \
	  $(BIN)/demod autoencode $$prior || exit 1; done

bench: $(READY)  ## run the comparisons of benchmarks/
	@$(BIN)/demod bench

clean:  ## remove the built book and all caches; .venv stays
	rm -rf _build .pytest_cache .ruff_cache .mypy_cache

chromium:
	@test -n "$(CHROMIUM)" || { echo "The tests read the book in Chromium, which is not installed:" \
	  "run 'apt-get install chromium' as root, or name a Chromium or Chrome with CHROMIUM=<path>." >&2; exit 1; }

# The environment. A stale one is brought up to date in place; one whose installation was cut off starts over.

$(READY): $(LOCKED) pyproject.toml
	@echo "Installing demod into .venv"
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@$(PIP) check
	@touch $@

$(LOCKED): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(PYTHON) is older than Python 3.11: name a newer one with PYTHON=<path>." >&2; exit 1; }
	@if [ -e $(INSTALLING) ]; then echo "Removing .venv, whose installation was cut off"; rm -rf .venv; fi
	@test -x $(BIN)/python || { echo "Creating .venv"; $(PYTHON) -m venv .venv; }
	@rm -f $(LOCKED) && touch $(INSTALLING)
	@echo "Installing $(TORCH)"
	@$(PIP) install $(EXTRA_INDEX) --constraint requirements.lock '$(TORCH)'
	@echo "Installing the packages of requirements.lock (a few minutes)"
	@$(PIP) install --requirement requirements.lock
	@rm $(INSTALLING) && touch $@
