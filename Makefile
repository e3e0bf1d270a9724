# The two commands: `make demo` runs the main job, `make test` passes the tests. Both set up what they need.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DOCS_STAMP := $(VENV)/.docs-installed

.PHONY: help setup demo test coverage lint docs bench bench-full bench-feed bench-peers clean

setup: $(STAMP) ## make .venv with pinned requirements (default)

help: ## show this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r target text; do \
		printf 'make %-12s %s\n' "$$target" "$$text"; done

$(STAMP): requirements.txt pyproject.toml sdk/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Tandem needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "setting up $(VENV) (once)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e ./sdk -e .
	@touch $(STAMP)

demo: $(STAMP) ## start everything, simulate both departments, and show what comes of it
	@$(BIN)/tandem demo $(DEMO)

# Tests run against a real Apache Kafka and a real PostgreSQL; both come as packages.
test: $(STAMP) ## run all tests; TESTS="tests/laws -x" for a part
	$(BIN)/python -m pytest -n 2 --dist worksteal -q $(TESTS)

# The laws run without: their generated histories would take twice as long, and cover nothing that the rooms' tests do not.
coverage: $(STAMP) ## run all tests, and measure what those of the rooms cover
	$(MAKE) test TESTS="--ignore tests/laws --cov --cov-report=term:skip-covered"
	$(MAKE) test TESTS=tests/laws

$(DOCS_STAMP): $(STAMP) requirements-docs.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt -r requirements-docs.txt
	@touch $(DOCS_STAMP)

# Only the repository's own files are read: nothing is fetched, while it is built or read.
docs: $(DOCS_STAMP) ## build the site in build/docs; warnings are errors
	$(BIN)/python -m sphinx -q -W --keep-going -E -b html -c docs . build/docs
	@echo "open build/docs/index.html"

lint: $(STAMP) ## ruff and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The short set, under five minutes (BENCH="--set identity" for another); bench-full takes an hour and writes
# docs/reference/performance.md.
bench: $(STAMP) ## measure the short set, in under five minutes
	$(BIN)/python -m bench $(BENCH)

bench-full: $(STAMP) ## measure everything, in an hour
	$(BIN)/python -m bench --set full $(BENCH)

# The change feed with many subscribers: writes its part of docs/reference/performance.md.
bench-feed: $(STAMP) ## measure the change feed with many subscribers
	$(BIN)/python -m bench --set feed $(BENCH)

# Against Kafka Streams (built from source: a JDK and Maven) and Faust.
bench-peers: $(STAMP) ## measure beside Kafka Streams and Faust
	$(BIN)/python -m bench.peers $(PEERS)

clean: ## remove .venv and everything that was built or cached
	rm -rf $(VENV) build dist *.egg-info sdk/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage .coverage.*
