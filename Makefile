# Interface of the repository: `make help` lists it. The lab and everything that needs namespaces wants root.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTEST := $(BIN)/pytest --quiet
LAB := $(BIN)/python -m tests.lab

.PHONY: help
help: ## Show this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r t h; do printf '  %-18s %s\n' "$$t" "$$h"; done

# --- set-up -----------------------------------------------------------------------------------------------------------
.PHONY: system-packages
system-packages: ## Install the Debian packages that the tests and the lab need (root; nothing to do if all are there)
	@missing=$$(grep -v '^#' tests/lab/packages.txt | while read -r p; do \
	  dpkg-query --show --showformat='$${Status}' "$$p" 2>/dev/null | grep -q 'ok installed' || echo "$$p"; done); \
	if [ -n "$$missing" ]; then \
	  echo "installing:" $$missing; \
	  [ "$$(id -u)" = 0 ] || { echo "run as root: apt-get install" $$missing >&2; exit 1; }; \
	  apt-get update --quiet=2; \
	  policy=/usr/sbin/policy-rc.d; \
	  [ -e $$policy ] || { trap "rm -f $$policy" EXIT; printf '#!/bin/sh\nexit 101\n' > $$policy; chmod +x $$policy; }; \
	  DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends $$missing > /dev/null; \
	  case " $$(echo $$missing) " in *" prometheus "*) systemctl disable prometheus.service > /dev/null 2>&1 || true;; esac; \
	fi  # no service is started by its package (exit 101), and Prometheus not at the next boot either

.PHONY: install
install: $(STAMP) ## Create .venv from the lock files, with the twinlease and kubectl-twinlease commands
$(STAMP): requirements-dev.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: lock
lock: $(STAMP) ## Resolve the dependencies anew into the lock files
	@[ -x $(BIN)/uv ] || $(BIN)/pip install --quiet uv
	for group in "" build dev; do \
	  $(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-emit-index-url --no-header \
	    --python-version 3.11 $${group:+--group $$group} $$([ "$$group" = build ] || echo pyproject.toml) \
	    --output-file requirements$${group:+-$$group}.lock; done

.PHONY: crds
crds: install ## Generate crds/ from operator/twinlease/api, and the chart's copies of them and of the admission policy
	$(BIN)/twinlease crds --output crds
	$(BIN)/twinlease crds --output charts/twinlease/files/crds
	cp operator/twinlease/controller/manifests/admission.yaml charts/twinlease/files/admission.yaml

.PHONY: manifests
manifests: crds ## Render manifests/ from charts/twinlease, and the table of its values
	$(BIN)/python -m tests.chart.plain
	$(BIN)/python -m tests.chart.table

.PHONY: reference
reference: install ## Generate docs/reference.md from operator/twinlease/api
	$(BIN)/twinlease fields --output docs/reference.md

.PHONY: metrics-doc
metrics-doc: install ## Generate docs/metrics.md from operator/twinlease/metrics/table.py
	$(BIN)/twinlease metrics --output docs/metrics.md

.PHONY: monitoring
monitoring: install ## Generate the chart's alerts and dashboard, and the list of runbooks, from operator/twinlease/monitoring
	$(BIN)/python -m twinlease.monitoring .

.PHONY: cli-docs
cli-docs: install ## Generate docs/cli.md from the help of the commands
	$(BIN)/python -m twinlease.cli.reference > docs/cli.md

.PHONY: krew
krew: install ## Pack the plugin for krew into dist/, with this machine's Python and architecture (KREW_URI=where it will be)
	KREW_URI=$(KREW_URI) $(BIN)/python -m tests.krew.archive dist

# --- checks, by cost --------------------------------------------------------------------------------------------------
.PHONY: lint
lint: install ## ruff, mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: test-unit
test-unit: install ## Pure tests: seconds
	$(PYTEST) tests/unit

.PHONY: docs-test
docs-test: install ## The words: links, commands, manifests, and every name in docs/ that the code must know
	$(PYTEST) tests/docs

.PHONY: test-model
test-model: install ## The model in brief: under a minute
	$(PYTEST) tests/model

.PHONY: model
model: install ## Explore the model of the protocol, and take away one rule after the other (minutes; DEEP=1: hours; STATES=n)
	$(BIN)/python -m tests.model $(if $(DEEP),--deep) $(if $(STATES),--states $(STATES)) $(if $(TRACES),--traces $(TRACES)) $(if $(SHOW),--show "$(SHOW)")

.PHONY: rules-test
rules-test: install system-packages ## Alerts, runbooks and dashboard, by the real promtool and Prometheus
	$(PYTEST) tests/rules

.PHONY: test-api
test-api: lab-build ## Against a real kube-apiserver
	$(PYTEST) tests/api

.PHONY: chart-test
chart-test: lab-build ## The Helm chart, with the real Helm against a real kube-apiserver
	$(PYTEST) tests/chart

.PHONY: kube-matrix
kube-matrix: lab-build ## The tests that need an API server, against other versions of it, each built once (KUBE="1.30.14 1.36.3")
	@[ -n "$(KUBE)" ] || { echo 'say which versions: make kube-matrix KUBE=1.30.14' >&2; exit 1; }
	for version in $(KUBE); do \
	  $(LAB) kube $$version && TWINLEASE_KUBE=$$version $(PYTEST) tests/api tests/chart || exit; done

NET := $(wildcard tests/net/test_*.py)
NET_SIDECARS := $(filter tests/net/test_sidecar%,$(NET))
NET_MEETINGS := $(foreach each,apart catchingup oldnews resending resume return stalling,tests/net/test_$(each).py)
NET_WORDS := $(foreach each,declined given_away left left_unknown,tests/net/test_$(each).py)
.PHONY: test-net test-net-sidecars test-net-meetings test-net-words test-net-daemons
test-net: test-net-daemons test-net-words test-net-meetings test-net-sidecars ## Real DHCP servers and clients in network namespaces (root)
test-net-sidecars: install system-packages
	$(PYTEST) $(NET_SIDECARS)
test-net-meetings: install system-packages # servers that were apart, and meet again
	$(PYTEST) $(NET_MEETINGS)
test-net-words: install system-packages # what one of the two has said of an address, and the other one not heard or answered
	$(PYTEST) $(NET_WORDS)
test-net-daemons: install system-packages
	$(PYTEST) $(filter-out $(NET_SIDECARS) $(NET_MEETINGS) $(NET_WORDS),$(NET))

.PHONY: test-e2e
test-e2e: lab-build ## On the lab: a real three-node cluster on this machine (root)
	$(PYTEST) --timeout=900 tests/e2e

.PHONY: test
test: lint test-unit test-model lab-build ## All of them
	# They wait more than they compute; but four sets of servers at once wait for each other.
	$(MAKE) --jobs=4 --output-sync=target --no-print-directory test-net-words test-net-meetings test-net-sidecars \
	  test-api chart-test rules-test docs-test test-net-daemons
	$(MAKE) --no-print-directory test-e2e

.PHONY: test-full
test-full: test model ## And what takes hours: the whole model, every fault so often as its goal says (LABS=n)
	$(MAKE) --no-print-directory fault-matrix RUNS=3 NEAREST=20 LABS=$(or $(LABS),2)

.PHONY: bench
bench: lab-build ## Measure (benchmarks/): start, rest, permit, throughput, gap, takeover (an hour; PART=one of them)
	$(BIN)/python -m benchmarks $(PART)

.PHONY: fault-matrix
RUNS ?= 1
fault-matrix: lab-build ## Every fault under load, judged by what clients saw (RUNS=n NEAREST=n CASE=a,b LABS=n RESULTS=file)
	$(BIN)/python -m tests.faults run --runs $(RUNS) $(if $(NEAREST),--nearest $(NEAREST)) \
	  $(if $(CASE),--case $(CASE)) $(if $(LABS),--labs $(LABS)) $(if $(RESULTS),--results $(RESULTS))

# --- the lab ----------------------------------------------------------------------------------------------------------
.PHONY: lab-build lab-up lab-down lab-image lab-env
lab-build: install system-packages ## Build what the lab is made of into the cache: Kubernetes, pause, the base image
	$(LAB) build
lab-up: lab-build ## Start the lab (FORCE=1 removes leftovers first)
	$(LAB) up $(if $(FORCE),--force)
lab-down: install ## Stop the lab and leave nothing behind
	$(LAB) down
lab-image: install ## Build the project's image and import it into the lab's nodes
	$(LAB) image
lab-env: $(STAMP) ## Print shell exports for the running lab: eval "$(make -s lab-env)"
	@$(LAB) env

.PHONY: demo demo-down
demo: lab-build ## A cluster, the operator, a pair, and a client that gets an address
	$(BIN)/python -m tests.lab.demo
demo-down: lab-down ## Stop what `make demo` started
