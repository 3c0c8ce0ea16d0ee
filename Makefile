# The targets of this project; `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := $(CURDIR)/.venv
BIN := $(VENV)/bin
UV_VERSION := $(shell sed -n 's/^uv==\([0-9.]*\).*/\1/p' requirements-dev.lock)
export PATH := $(BIN):$(PATH)
export PYTHONDONTWRITEBYTECODE := 1
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: help setup lock clean
help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 28

setup: $(VENV)/.installed .collections/ansible_collections/spot/platform ## Install all that the other targets need

$(VENV)/.installed: requirements-dev.lock
	@python3 -c 'import ensurepip, venv' 2>/dev/null || { echo "Installing python3-venv ..."; $(SUDO) apt-get -qq update; $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y python3-venv; }
	@echo "Installing the pinned Python packages into .venv (about a minute, once) ..."
	@rm -rf $(VENV) && python3 -m venv $(VENV)
	@grep -A40 '^uv==' requirements-dev.lock | awk 'NR > 1 && /^[a-z]/ {exit} {print}' > $(VENV)/uv.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements-dev.lock
	@touch $@

.collections/ansible_collections/spot/platform:
	@mkdir -p $(@D) && ln -sfn ../../.. $@

lock: $(VENV)/.installed ## Resolve requirements-dev.in into requirements-dev.lock again
	@uv pip compile --quiet --upgrade --generate-hashes --python-version 3.11 --custom-compile-command "make lock" requirements-dev.in -o requirements-dev.lock

clean: ## Remove all that the other targets made
	@rm -rf $(VENV) .collections build tests/output
