# Every target does its own set-up into .venv; afterwards .venv/bin/streamer is the command.
# Choose another interpreter with `make PYTHON=/path/to/python3.12 demo`, another folder with VENV=...

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.PHONY: demo test lint bench peers soak soak-simulated soak-overload kafka kafka-stop clean setup

VENV ?= .venv
# The first of these that is 3.11 or later; `python3` comes first, as it is what a person expects to be used.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	if "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo "$$p"; break; fi; done)
SETUP := $(VENV)/setup.stamp
# What the engine is measured beside, apart from it. Bytewax has builds for Python 3.11 and 3.12: PEERS_PYTHON=...
PEERS := .venv-peers
PEERS_PYTHON ?= $(PYTHON)
PEERS_SETUP := $(PEERS)/setup.stamp
EXAMPLE := examples/02-telemetry

demo: $(SETUP)
	@cd $(EXAMPLE); if [ -t 1 ] && [ -t 2 ]; then length=; else length="--for 20s"; fi; \
	exec "$(abspath $(VENV))/bin/streamer" run . $$length

# A file of tests stays in one process, since its tests may share a job; more than four would starve each other's jobs.
test: $(SETUP)
	@$(VENV)/bin/pytest -n logical --maxprocesses 4 --dist loadfile

lint: $(SETUP)
	@$(VENV)/bin/ruff check
	@$(VENV)/bin/ruff format --check
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports

bench: $(SETUP) $(PEERS_SETUP)
	@$(VENV)/bin/python -m benchmarks

# A minute without any broker, and then how long a soak is, in seconds of real jobs under faults.
SOAK_S ?= 3600
soak: $(SETUP)
	@BROKERS_AWAY_S=60 $(VENV)/bin/pytest tests/cluster/test_under_fire.py
	@$(VENV)/bin/python -m streamer.testing.verify --seconds $(SOAK_S)

# How many jobs of each shape are simulated: about 50 minutes on two cores.
SOAK_SEEDS ?= 6000
soak-simulated: $(SETUP)
	@$(VENV)/bin/python -m streamer.testing --count $(SOAK_SEEDS)

# Seconds of overload under each policy: some minutes in all.
SOAK_OVERLOAD_S ?= 60
soak-overload: $(SETUP)
	@$(VENV)/bin/python -m benchmarks.scenario.overload --window $(SOAK_OVERLOAD_S)

# A real Kafka on this machine: KAFKA_PORT (9092), BROKERS (1).
kafka: $(SETUP)
	@$(VENV)/bin/python -m tests.kafka start

kafka-stop: $(SETUP)
	@$(VENV)/bin/python -m tests.kafka stop

setup: $(SETUP)

peers: $(PEERS_SETUP)

$(PEERS_SETUP): benchmarks/peers/requirements.txt benchmarks/peers/requirements-alone.txt
	@echo "Setting up $(PEERS), what the engine is measured beside: some minutes and 1.5 GB (once)"
	@if ! { "$(PEERS_PYTHON)" -m venv $(PEERS) \
		&& $(PEERS)/bin/pip install --quiet --disable-pip-version-check -r benchmarks/peers/requirements.txt \
		&& $(PEERS)/bin/pip install --quiet --disable-pip-version-check --no-deps -r benchmarks/peers/requirements-alone.txt; }; then \
		echo "The peers are not installed. They need Python 3.11 or 3.12, which can be named: make PEERS_PYTHON=/path/to/python3.12 peers" >&2; \
		echo "Without them, benchmarks.peers.engines cannot be taken, and others leave them out, each by its own command (docs/benchmarks.md)." >&2; \
		exit 1; \
	fi
	@touch $@

# Both pyproject files, because a new dependency in either must reach the virtual environment.
$(SETUP): pyproject.toml wrappers/python/pyproject.toml
	@if [ -z "$(PYTHON)" ]; then \
		echo "streamer needs Python 3.11 or later; $$(python3 --version 2>/dev/null || echo 'no python3') was found." >&2; \
		echo "Install it (for example: apt-get install python3.11 python3.11-venv), or name it: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; \
		exit 1; \
	fi
	@if ! [ -x $(VENV)/bin/pip ] && ! "$(PYTHON)" -m venv $(VENV); then \
		echo "$(PYTHON) cannot make virtual environments; on Debian and Ubuntu: apt-get install python3-venv" >&2; \
		exit 1; \
	fi
	@echo "Setting up $(VENV) (once, and again when pyproject.toml changes)"
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check -e '.[dev,fast,kafka,plot,examples]' -e wrappers/python
	@touch $@

clean:
	rm -rf $(VENV) $(PEERS) build dist *.egg-info wrappers/python/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
