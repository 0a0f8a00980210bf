# What a person or CI does here, one target each. Every target sets up what it needs first (tools/setup), quickly when
# there is nothing to do.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

# The folder of the started script must never shadow a module: operator/ would, with the root on the path.
export PYTHONSAFEPATH := 1

RUN := .venv/bin/
MEMBERS := $(sort $(wildcard libs/* services/*) cli operator)
PINS ?= requirements/dev.txt

##@ Use

.PHONY: demo
demo: setup ## Speak to a whole assistant on this machine and show every turn (ARGS="WAV… --json FILE")
	@$(RUN)parley demo $(ARGS)

.PHONY: demo-discord
demo-discord: setup ## The same on an emulated Discord: somebody there calls the bot and asks it (ARGS="WAV…")
	@$(RUN)python -m parley_testkit.discord_demo $(ARGS)

.PHONY: up
up: setup ## Start the same assistant and keep it running (ARGS="-f assistant.yaml")
	@$(RUN)parley up $(ARGS)

.PHONY: bench
bench: PAGE = bench/$(patsubst discord,discords,$(patsubst operator,operators,$(NAME))).py
bench: setup ## Measure: make bench NAME=e2ft ARGS="--json FILE" (NAME=operator needs tools/setup cluster)
	@# A page called operator.py would take the place of Python's own, and discord.py that of the library.
	@test -f "$(PAGE)" || { echo "NAME is one of: $(filter-out soak,$(basename $(notdir $(wildcard bench/[!_]*.py))))"; exit 2; }
	@PYTHONPATH=bench $(RUN)python "$(PAGE)" $(ARGS)

.PHONY: soak
soak: setup ## An hour of conversations in which no process may grow (ARGS="--minutes 10 --warm-up-minutes 3")
	@PYTHONPATH=bench $(RUN)python bench/soak.py $(ARGS)

##@ Check

.PHONY: test
test: setup cluster discordjs check ## Everything but the end-to-end tests: check, then all that needs the real parts
	@# Three files side by side on two cores: real processes mostly wait for each other, and for speech that takes its
	@# time. In the order of their names, which has no long one at the end. The control planes have a call of their own:
	@# they stay until its end, and whoever speaks would wait for them.
	$(RUN)pytest tests/cluster tests/chart --numprocesses 2 --dist loadfile --no-loadscope-reorder $(ARGS)
	$(RUN)pytest tests --ignore=tests/unit --ignore=tests/cluster --ignore=tests/chart --ignore=tests/e2e \
	  --numprocesses 3 --dist loadfile --no-loadscope-reorder $(ARGS)

.PHONY: test-cluster
test-cluster: cluster ## What runs on a real Kubernetes control plane (some minutes; ARGS="-k fate")
	$(RUN)pytest tests/cluster $(ARGS)

.PHONY: test-chart
test-chart: cluster ## The chart, on the same control plane (a minute; ARGS="-k upgrade")
	$(RUN)pytest tests/chart $(ARGS)

.PHONY: check
check: lint imports types unit ## Style, rooms, types and unit tests (two minutes at most)

.PHONY: lint
lint: python ## Style and format
	$(RUN)ruff check
	$(RUN)ruff format --check --quiet

.PHONY: imports
imports: python ## Which room imports what (.importlinter)
	$(RUN)lint-imports --no-logo

.PHONY: types
types: python ## Types, strictly
	$(RUN)mypy

.PHONY: unit
unit: python ## Unit tests
	$(RUN)pytest tests/unit --numprocesses auto

.PHONY: fuzz
fuzz: python ## Look for bytes that break what reads them (ARGS="-max_total_time=600", for each of five readers)
	@for target in message frame request manifest datagram; do \
	  $(RUN)python tests/fuzz/fuzz.py $$target -max_total_time=60 $(ARGS); done

.PHONY: chaos
chaos: setup cluster ## Kill every process twenty times while somebody talks, and break the rest (an hour; PARLEY_SEED repeats one)
	PARLEY_EXAMPLES=2000 $(RUN)pytest tests/unit/conversation --timeout 600
	PARLEY_SEED=$${PARLEY_SEED:-$$RANDOM} PARLEY_BLOWS=20 $(RUN)pytest -v tests/integration/test_deaths.py tests/integration/test_misfortunes.py $(ARGS)
	PARLEY_DEATHS=all $(RUN)pytest -v tests/cluster/test_operator_survival.py --timeout 900 -k killed

.PHONY: fmt
fmt: python ## Put the code in its format, mend what can be mended
	$(RUN)ruff format
	$(RUN)ruff check --fix

.PHONY: crds
crds: python ## Make crds/ from the typed model
	$(RUN)python -m parley_operator.crd > crds/voiceassistants.parley.dev.yaml

.PHONY: chart
chart: crds ## Make what is made of the chart: values.yaml, the README's table, the definition's template
	$(RUN)python -m parley_testkit.chart

##@ Set up

.PHONY: setup
setup: # what an assistant needs; says nothing when there is nothing to do
	@tools/setup

.PHONY: python
python: # .venv alone
	@tools/setup python

.PHONY: cluster
cluster: # .venv and the control plane of tests/cluster
	@tools/setup cluster

.PHONY: discordjs
discordjs: # .venv and the client of tests/integration/test_discordjs.py
	@tools/setup discordjs

.PHONY: pins
pins: ## Pin what the members ask for (ARGS="--upgrade" for newer versions, ARGS="--upgrade-package NAME" for one)
	"$$(tools/setup uv)" pip compile --quiet --no-header --no-annotate --generate-hashes \
	  --python-version 3.11 --python-platform linux \
	  --group dev $(foreach member,$(MEMBERS),--no-emit-package parley-$(notdir $(member))) $(ARGS) --output-file $(PINS) pyproject.toml

.PHONY: sync
sync: python ## Bring .venv to the pins

.PHONY: clean
clean: ## Remove what was made in this checkout (the user's cache of tools and models stays)
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis out
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help
help: # this list
	@awk -F':.*## ' '/^##@/ { printf "\n%s\n", substr($$0, 5) } /^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile
