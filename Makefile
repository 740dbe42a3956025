# Everything a developer types. Each target makes the virtual environment it needs (.venv) from pinned, hashed
# requirements, and makes it anew only when those change.
#
#   make demo PYTHON=python3.12        another interpreter than python3 (remove .venv first)
#   make test ARGS="-k settle"         more arguments for pytest

PYTHON ?= python3
ARGS   ?=
VENV   := .venv
BIN    := $(VENV)/bin
LOG    := $(VENV)/make.log
PIP    := $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input
UV     ?= uv
# Most tests wait for a process or a socket, so that a core has time for two; and whoever has none left takes from others.
SHARED := -n $(shell expr 2 '*' "$$(getconf _NPROCESSORS_ONLN)") --dist worksteal
# The database drivers, each in a file of its own beside runtime.txt, at the version that dev.txt was tested with.
DRIVERS := mysql postgres alerts
COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

# Run $(2), keeping what it prints for when it fails.
quietly = @echo "$(1)"; { $(2); } >$(LOG) 2>&1 || { cat $(LOG); echo "$(1): failed (the lines above say why)"; exit 1; }

# What pyproject.toml asks for in the extra that is named.
define EXTRA
import sys, tomllib
print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"][sys.argv[1]], sep="\n")
endef
export EXTRA

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test coverage simulation chaos check test-system bench requirements clean

help:  ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.runtime-done  ## The whole thing on this machine in half a minute, nothing to configure
	@$(BIN)/reconciler demo $(ARGS)

test: $(VENV)/.dev-done  ## Every test that needs no root
	@$(BIN)/python -m pytest -q $(SHARED) -m "not system and not chaos" $(ARGS)

# Its own target: tracing makes what it traces some five times slower, and nothing reads the figure but a person.
coverage: $(VENV)/.dev-done  ## The same with branch coverage; takes several times as long
	@$(BIN)/python -m pytest -q $(SHARED) -m "not system and not chaos" --timeout=600 --cov --cov-report=term-missing:skip-covered $(ARGS)

simulation: $(VENV)/.dev-done  ## A thousand simulated worlds; make simulation ARGS="--seeds 1000-1999" for others
	@$(BIN)/python -m tests.simulation --seeds 0-999 $(ARGS)

chaos: $(VENV)/.dev-done  ## Real processes and servers, killed, cut off, starved and raced, for some minutes
	@$(BIN)/python -m pytest -q -rs -n auto -m chaos tests/acceptance/chaos $(ARGS)

check: $(VENV)/.dev-done  ## Lint, format, types, and which module may import which
	@failed=0; \
	step() { name=$$1; said=$$2; shift 2; \
	  if "$$@" >$(LOG) 2>&1; then echo "$$name: $$(grep -E "$$said" $(LOG) | tail -n 1)"; \
	  else cat $(LOG); echo "$$name: FAILED"; failed=1; fi; }; \
	step "ruff check" "passed" $(BIN)/ruff check .; \
	step "ruff format" "formatted" $(BIN)/ruff format --check .; \
	step "mypy" "Success" $(BIN)/mypy; \
	step "lint-imports" "^Contracts:" $(BIN)/lint-imports --no-cache; \
	exit $$failed

test-system: $(VENV)/.dev-done  ## What needs root: the units judged by systemd's tools, then run under a systemd of their own
	@$(BIN)/python -m pytest -q -rs -m system tests/system $(ARGS)

bench: $(VENV)/.dev-done  ## The numbers that docs/performance.md quotes
	@set -- $(wildcard benchmarks/bench_*.py) $(wildcard benchmarks/asking.py); \
	if [ $$# -eq 0 ]; then echo "bench: nothing in benchmarks/ yet"; fi; \
	for script do echo "== $$script"; $(BIN)/python "$$script" $(ARGS) || exit 1; done

requirements: requirements/build.in pyproject.toml  ## Renew the pinned requirements (needs uv)
	@command -v $(UV) >/dev/null || { echo "uv is missing: install it, or make requirements UV=/path/to/uv"; exit 1; }
	@$(COMPILE) --upgrade pyproject.toml requirements/build.in --output-file requirements/runtime.txt
	@$(COMPILE) --upgrade pyproject.toml requirements/build.in --constraint requirements/runtime.txt \
	  --extra mysql --extra postgres --extra alerts --group dev --output-file requirements/dev.txt
	@for extra in $(DRIVERS); do \
	  $(PYTHON) -c "$$EXTRA" "$$extra" \
	    | $(COMPILE) --no-annotate --constraint requirements/dev.txt - --output-file requirements/$$extra.txt || exit 1; \
	done
	@! grep -nE '://|^ *--(index|extra-index|find|trusted)' requirements/*.txt \
	  || { echo "requirements: the lines above name a place to download from"; exit 1; }
	@echo "requirements: renewed; make test check, then commit requirements/"

clean:  ## Remove the virtual environment and what tools left
	@rm -rf $(VENV) .coverage .coverage.* htmlcov .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# The interpreter: missing, or left dangling by an upgrade, makes a new environment.
$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is missing: install Python 3.11 or newer, or make PYTHON=/path/to/it"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "$(PYTHON) is $$($(PYTHON) -V 2>&1): Python 3.11 or newer is needed; make PYTHON=/path/to/it"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "$(PYTHON) cannot make virtual environments: install its venv module (Debian: apt install python3-venv)"; exit 1; }
	@echo "venv: $(VENV), $$($(PYTHON) -V)"
	@rm -rf $(VENV) && $(PYTHON) -m venv $(VENV)

# The sets. What runs is in both, at the same versions, so whoever has dev-done has runtime-done. They are whole, so that
# nothing is left to resolve (--no-deps): pip weighs releases that nobody pinned where one is asked for with an extra, and
# refuses their hashes on the day they come out. `pip check` says if one is missing.
$(VENV)/.runtime: requirements/runtime.txt | $(BIN)/python
	$(call quietly,install: requirements/runtime.txt,$(PIP) install --no-deps --require-hashes -r requirements/runtime.txt)
	@touch $@

$(VENV)/.dev: requirements/dev.txt | $(BIN)/python
	$(call quietly,install: requirements/dev.txt,$(PIP) install --no-deps --require-hashes -r requirements/runtime.txt \
	  && $(PIP) install --no-deps --require-hashes --no-build-isolation -r requirements/dev.txt)
	@touch $@ $(VENV)/.runtime

# The project itself, editable: again only when its metadata or its requirements change.
$(VENV)/.runtime-done: $(VENV)/.runtime pyproject.toml
	$(call quietly,install: the project,$(PIP) install --no-deps --no-build-isolation -e . && $(PIP) check)
	@touch $@

$(VENV)/.dev-done: $(VENV)/.dev pyproject.toml
	$(call quietly,install: the project,$(PIP) install --no-deps --no-build-isolation -e . && $(PIP) check)
	@touch $@ $(VENV)/.runtime-done
