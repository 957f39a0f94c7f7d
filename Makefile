# `make demo` and `make test` do all the set-up by themselves; `make help` lists the rest.
# PYTHON=python3.12 chooses the interpreter (3.11 or later), VENV=folder the virtual environment.

PYTHON ?=
VENV ?= .venv
BIN := $(VENV)/bin
DEMO_ARGS ?=
PYTEST_ARGS ?=
SITE ?= site

# Tried in this order when PYTHON is not given.
CANDIDATES := python3.11 python3.12 python3.13 python3 python
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))

.DEFAULT_GOAL := help
.PHONY: help demo test slow lint types format docs paper setup newest oldest audit clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.demo ## De-occlude two objects in a real clip and say where to look
	$(BIN)/voin demo $(DEMO_ARGS)

# Two processes of one thread each: on two cores that takes two thirds of the time, and more would need more memory. A process
# takes the tests of a file one after the other, so that most browsers and servers are started once; at the end the other helps.
# Bytecode is kept, whatever the surroundings say: the tests start many programs, and each would compile voin anew.
test: $(VENV)/.dev ## Run every default test
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal $(PYTEST_ARGS)

slow: $(VENV)/.dev ## Run the slow tests as well
	$(BIN)/python -m pytest -m "not gpu" $(PYTEST_ARGS)

lint: $(VENV)/.dev ## Check the code's form and what each room imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.dev ## Check the types
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(VENV)/.dev ## Put the code into form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.dev ## Build the documentation into site/, strictly: begin at site/index.html
	@# Without --quiet, which would hide broken links from --strict, too.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --site-dir $(abspath $(SITE))

# SET, PACK, OUT and BUDGET, and what the recipe says besides; PLAN=1 prints what would be trained, and for how long.
BUDGET ?= 30
OUT ?= paper-out
paper: $(VENV)/.dev ## Make the paper's tables and figures overnight: make paper SET=voi-davis PACK=train.pack
	@if [ -z "$(SET)" ] || [ -z "$(PACK)" ]; then \
		echo "SET and PACK are missing; voin data build and voin data pack make them: make paper SET=voi-davis PACK=train.pack" >&2; exit 2; \
	fi
	PATH="$(abspath $(BIN)):$$PATH" sh recipes/paper_tables.sh "$(SET)" "$(PACK)" "$(OUT)" "$(BUDGET)"

# Once a week, say: each installs some gigabytes into an environment of its own. The oldest are what pyproject.toml allows.
FAST_ROOMS := tests/core tests/io tests/weights tests/method tests/cli
newest: $(VENV)/pyvenv.cfg ## Run the fast tests with the newest versions that are allowed
	$(BIN)/python -m venv --clear $(VENV)-newest
	$(VENV)-newest/bin/python -m pip install --upgrade --upgrade-strategy eager --editable ".[dev,raft,eval,train,exr]"
	OMP_NUM_THREADS=1 $(VENV)-newest/bin/python -m pytest $(PYTEST_ARGS) $(FAST_ROOMS)

oldest: $(VENV)/.dev ## Run the fast tests with the oldest versions that are allowed
	$(BIN)/python recipes/constraints.py --oldest > $(VENV)-oldest.txt
	$(BIN)/python -m venv --clear $(VENV)-oldest
	$(VENV)-oldest/bin/python -m pip install --constraint $(VENV)-oldest.txt --editable ".[dev,raft,eval,train,exr]"
	OMP_NUM_THREADS=1 $(VENV)-oldest/bin/python -m pytest $(PYTEST_ARGS) $(FAST_ROOMS)

audit: $(VENV)/pyvenv.cfg ## Look for known faults in the tested versions; needs the network
	$(BIN)/python -m venv $(VENV)-audit
	$(VENV)-audit/bin/python -m pip install pip-audit
	@# Without its data it skips all packages, or ends in a traceback: neither means that there is no fault.
	@said=$$($(VENV)-audit/bin/pip-audit --disable-pip --no-deps --requirement constraints.txt 2>&1); code=$$?; \
	case "$$said" in *"could not be audited"*|*Traceback*|*"onnection"*) \
		echo "Not audited: the database of known faults cannot be reached, or lacks some of the packages" >&2; exit 2;; \
	esac; echo "$$said"; exit $$code

setup: $(VENV)/.dev ## Set up the virtual environment for work on voin

clean: ## Remove what make and the tests made, the virtual environment too
	@# Only what is a virtual environment: VENV may name anything.
	if [ -f $(VENV)/pyvenv.cfg ]; then rm -rf $(VENV); fi
	rm -rf $(VENV)-newest $(VENV)-oldest $(VENV)-oldest.txt $(VENV)-audit
	rm -rf build dist demo-out $(SITE) .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Each stamp is as old as the last install; a changed pyproject.toml installs again.
$(VENV)/.demo: $(VENV)/pyvenv.cfg pyproject.toml
	@echo "Installing voin for the demo: torch with its libraries is a few GB, about two minutes"
	$(BIN)/python -m pip install --editable ".[demo]"
	@touch $@

$(VENV)/.dev: $(VENV)/pyvenv.cfg pyproject.toml
	@echo "Installing voin and its tools: torch with its libraries is a few GB, some minutes"
	$(BIN)/python -m pip install --editable ".[demo,dev,docs,raft,eval,train,web,sam2,otio,exr,onnx]"
	@touch $@ $(VENV)/.demo

$(VENV)/pyvenv.cfg:
	@found=; for python in $(or $(PYTHON),$(CANDIDATES)); do \
		if "$$python" -c '$(NEW_ENOUGH)' 2>/dev/null; then found="$$python"; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
		echo "$(or $(PYTHON),python3) is absent or older than Python 3.11, which voin needs; name one: make demo PYTHON=python3.11" >&2; exit 1; \
	fi; \
	echo "Creating $(VENV) with $$("$$found" --version)"; \
	"$$found" -m venv $(VENV) || { rm -f $@; \
		echo "$$found cannot create a virtual environment; install its venv module (on Debian: apt install python3-venv)" >&2; exit 1; }
