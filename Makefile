# The two commands: `make demo` runs the main job, `make test` passes the tests. Both set up what they need.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: setup demo test lint bench bench-full bench-feed bench-peers clean

setup: $(STAMP)

$(STAMP): requirements.txt pyproject.toml sdk/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Tandem needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "setting up $(VENV) (once)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e ./sdk -e .
	@touch $(STAMP)

demo: $(STAMP)
	@$(BIN)/tandem demo $(DEMO)

# Tests run against a real Apache Kafka and a real PostgreSQL; both come as packages.
test: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist worksteal -q $(TESTS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The short set, under five minutes (BENCH="--set identity" for another); bench-full takes an hour and writes
# docs/performance.md.
bench: $(STAMP)
	$(BIN)/python -m bench $(BENCH)

bench-full: $(STAMP)
	$(BIN)/python -m bench --set full $(BENCH)

# The change feed with many subscribers: writes its part of docs/performance.md.
bench-feed: $(STAMP)
	$(BIN)/python -m bench --set feed $(BENCH)

# Against Kafka Streams (built from source: a JDK and Maven) and Faust.
bench-peers: $(STAMP)
	$(BIN)/python -m bench.peers $(PEERS)

clean:
	rm -rf $(VENV) build dist *.egg-info sdk/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
