# Needs make and Python 3.11 or newer, nothing else. `make help` lists what there is.

VENV := .venv
BIN := $(VENV)/bin
# The client is a package of its own, tested with libraries that cannot share an environment with the service.
CLIENT_VENV := client/.venv
CLIENT_BIN := $(CLIENT_VENV)/bin
# One more than there are processors: tests wait for each other, and for the service.
JOBS ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1)))
PYTEST_OPTIONS := -n $(JOBS) --maxprocesses 8 --dist worksteal
# What `make test-all` draws its examples from; pytest prints it.
SEED := $(shell date +%s)
# The first Python on the PATH that is new enough; PYTHON=… names another.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
# The locks are complete: pip resolves nothing, and what a registry publishes tomorrow changes nothing. Wheels only:
# building from source would fetch build tools that no hash was checked for. What is never imported is not compiled.
# A module is compiled when it is first imported, also where the environment says otherwise: else each start takes twice
# as long.
export PYTHONDONTWRITEBYTECODE :=
PIP_OPTIONS := --disable-pip-version-check --progress-bar off --no-compile
PIP_LOCKED := install $(PIP_OPTIONS) --no-deps --require-hashes --only-binary :all:
PIP_PROJECT := install $(PIP_OPTIONS) --no-deps --no-build-isolation --editable
# The machine's pip.conf says where packages come from; its constraints are for other projects.
pip = PIP_CONSTRAINT=/dev/null PIP_USER=0 $(1)/bin/python -m pip
# The build backend looks for its own binary on the PATH.
pip_project = PATH="$(CURDIR)/$(1)/bin:$$PATH" $(call pip,$(1)) $(PIP_PROJECT)
# What pip says, about this machine's configuration too, is shown where it fails.
quietly = { $(2); } >$(1)/install.log 2>&1 || { cat $(1)/install.log >&2; exit 1; }
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras \
	--no-emit-index-url --no-emit-find-links --no-header

.DEFAULT_GOAL := help
.PHONY: help run test test-all test-citus test-e2e lint format bench lock environments
.DELETE_ON_ERROR:

help: ## list what can be made
	@sed -n 's/^\([a-z][a-z0-9-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | while IFS='|' read -r target what; do \
		printf '%-16s %s\n' "$$target" "$$what"; done

run: $(VENV)/.run ## migrate the database and serve on CHATKEEP_HOST:CHATKEEP_PORT
	@exec $(BIN)/chatkeep serve

test: environments ## run the tests, on SQLite and on a Postgres that the suite starts itself
	$(BIN)/pytest $(PYTEST_OPTIONS) $(ARGS)
	$(if $(ARGS),,cd client && .venv/bin/pytest $(PYTEST_OPTIONS))

test-all: test ## run these, and then all that repeats, fuzzes and pairs, with new examples or those of SEED=…
	$(BIN)/pytest $(PYTEST_OPTIONS) --all --seed $(SEED) $(ARGS)
	$(if $(ARGS),,cd client && .venv/bin/pytest $(PYTEST_OPTIONS) --all --seed $(SEED))

test-citus: environments ## run the tests on the Citus cluster whose coordinator is CITUS_URL=postgresql://…
	@test -n "$(CITUS_URL)" || { echo "Name the coordinator: make test-citus CITUS_URL=postgresql://user:password@host/postgres" >&2; exit 1; }
	CITUS_URL="$(CITUS_URL)" $(BIN)/pytest $(PYTEST_OPTIONS) $(ARGS)

test-e2e: environments ## run the tests that need Node or a browser; they say what is missing
	$(BIN)/pytest tests/e2e $(ARGS)

lint: environments ## check style, types, import direction, dependencies, locks and the Dockerfile
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/python client/generate_sync.py --check
	$(BIN)/mypy
	cd client && .venv/bin/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/deptry .
	$(BIN)/python -m tests.locks.wheels
	$(BIN)/hadolint Dockerfile

format: $(VENV)/.dev ## put the code into its format, and mend what can be mended
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/python client/generate_sync.py

bench: $(VENV)/.dev ## compare with bare endpoints on the same database; writes docs/performance.md
	$(BIN)/python -m bench $(ARGS)

lock: $(VENV)/.dev ## lock what pyproject.toml asks for; UPGRADE=1 takes the newest versions
	$(LOCK) $(if $(UPGRADE),--upgrade) pyproject.toml -o requirements.txt
	$(LOCK) $(if $(UPGRADE),--upgrade) pyproject.toml --group dev -c requirements.txt -o requirements-dev.txt
	$(LOCK) $(if $(UPGRADE),--upgrade) --group build -o requirements-build.txt
	$(LOCK) $(if $(UPGRADE),--upgrade) client/pyproject.toml --all-extras --group client/pyproject.toml:dev \
		-o client/requirements-dev.txt

# Both at once: pip does one thing after another.
environments:
	@$(MAKE) --silent $(if $(filter -j%,$(MAKEFLAGS)),,--jobs=2) $(VENV)/.dev $(CLIENT_VENV)/.dev

# A stamp is written last: an installation that was cut short is done again.
$(VENV)/.run: requirements.txt requirements-build.txt pyproject.toml | $(BIN)/python
	@echo "Installing Chatkeep into $(VENV) …"
	@$(call quietly,$(VENV),$(call pip,$(VENV)) $(PIP_LOCKED) -r requirements.txt -r requirements-build.txt \
		&& $(call pip_project,$(VENV)) . && $(call pip,$(VENV)) check)
	@touch $@

$(VENV)/.dev: requirements-dev.txt client/pyproject.toml $(VENV)/.run
	@echo "Installing the test tools into $(VENV) …"
	@$(call quietly,$(VENV),$(call pip,$(VENV)) $(PIP_LOCKED) -r requirements-dev.txt \
		&& $(call pip_project,$(VENV)) client && $(call pip,$(VENV)) check)
	@touch $@

$(CLIENT_VENV)/.dev: client/requirements-dev.txt requirements-build.txt client/pyproject.toml | $(BIN)/python
	@echo "Installing what tests the client into $(CLIENT_VENV) …"
	@$(BIN)/python -m venv $(CLIENT_VENV)
	@$(call quietly,$(CLIENT_VENV),$(call pip,$(CLIENT_VENV)) $(PIP_LOCKED) -r client/requirements-dev.txt -r requirements-build.txt \
		&& $(call pip_project,$(CLIENT_VENV)) client && $(call pip,$(CLIENT_VENV)) check)
	@touch $@

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Chatkeep needs Python 3.11 or newer, and none is on the PATH. Name one: make run PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Chatkeep needs Python 3.11 or newer; $(PYTHON) is older, or does not run." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) comes without venv. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
