# The targets of this project; `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := $(CURDIR)/.venv
BIN := $(VENV)/bin
UV_VERSION := $(shell sed -n 's/^uv==\([0-9.]*\).*/\1/p' requirements-dev.lock)
export PATH := $(BIN):$(PATH)
# Compiled once, and not beside the sources: a clean checkout would compile all of Ansible and botocore for each process.
export PYTHONPYCACHEPREFIX := $(CURDIR)/build/pycache
unexport PYTHONDONTWRITEBYTECODE
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

PYTHON_VERSION = $(shell $(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
APT_INSTALL := $(SUDO) apt-get -qq update && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 -o APT::Install-Recommends=false install -y
# Or one core waits for the last long file.
LONGEST := $(addprefix tests/integration/,playbooks eda chaos modules)
LONGEST_FIRST = $(LONGEST) $(filter-out $(LONGEST) %__pycache__,$(patsubst %/,%,$(wildcard tests/integration/*/)))
EXPORT = tests/gates/export.sh build/tree/$@

.PHONY: help setup demo demo-open demo-volumes test lint sanity units docs changelog importer contract integration molecule page demo-check chaos soak bench bench-backtest lock vendor clean
help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 28

setup: $(VENV)/.installed .collections/ansible_collections/spot/platform ## Install all that the other targets need

$(VENV)/.installed: requirements-dev.lock
	@python3 -c 'import ensurepip, venv' 2>/dev/null || { echo "Installing python3-venv ..."; $(APT_INSTALL) python3-venv >/dev/null; }
	@echo "Installing the pinned Python packages into .venv (about a minute, once) ..."
	@rm -rf $(VENV) && python3 -m venv $(VENV)
	@grep -A40 '^uv==' requirements-dev.lock | awk 'NR > 1 && /^[a-z]/ {exit} {print}' > $(VENV)/uv.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements-dev.lock
	@touch $@

.collections/ansible_collections/spot/platform:
	@mkdir -p $(@D) && ln -sfn ../../.. $@

debian-%:
	@command -v $* >/dev/null || { echo "Installing Debian's $* ..."; $(APT_INSTALL) $* >/dev/null; }

debian-java:
	@command -v java >/dev/null || { echo "Installing Debian's Java ..."; $(APT_INSTALL) openjdk-17-jre-headless >/dev/null; }

demo: setup ## Show the platform at work on the embedded sandbox, in minutes, without an AWS account
	@python tests/demo/run.py

demo-open: setup ## Serve the page of the demo on loopback until Ctrl-C
	@python tests/demo/serve.py

demo-volumes: setup debian-docker.io.deb debian-mmdebstrap debian-iptables debian-prometheus debian-prometheus-alertmanager ## Fill a disk on a systemd host until it grows, with Prometheus, Alertmanager and the rulebook
	@tests/hosts/with_engine.sh python tests/demo/volumes.py

test: setup debian-chromium debian-java debian-prometheus debian-prometheus-node-exporter debian-shellcheck ## Run all gates: each of the targets from here to demo-check
	@python tests/gates/run.py

lint: setup ## Lint YAML, playbooks and roles: yamllint, and ansible-lint's production profile
	@failed=; \
	echo "yamllint ..."; yamllint --strict . || failed+=" yamllint"; \
	echo "ansible-lint ..."; ansible-lint --offline --strict --nocolor || failed+=" ansible-lint"; \
	[ -z "$$failed" ] || { echo "lint: failed:$$failed"; exit 1; }

sanity: setup debian-shellcheck ## Run ansible-test sanity on an exported tree
	@python tests/gates/seed_pip.py
	@cd "$$($(EXPORT))" && ansible-test sanity --color no --python $(PYTHON_VERSION)

units: setup ## Run the unit tests under ansible-test on an exported tree
	@cd "$$($(EXPORT))" && ansible-test units --color no --python $(PYTHON_VERSION) --num-workers 2

docs: setup ## Check the documentation of the collection and of its plugins: antsibull-docs
	@echo "antsibull-docs, over the collection and its dependencies (half a minute) ..."
	@# One in 37 of its temporary folders has a name that ends with _, which docutils takes for a reference: then once more.
	@cd "$$($(EXPORT))"; export ANSIBLE_COLLECTIONS_PATH=$(CURDIR)/build/tree/$@ ANSIBLE_COLLECTIONS_SCAN_SYS_PATH=false; \
	check() { antsibull-docs lint-collection-docs --plugin-docs --validate-collection-refs=all . 2>&1 | tee ../docs.log; }; \
	check || { grep -q 'Unknown target name: "antsibull-docs-' ../docs.log && check; }

changelog: setup ## Check the changelog fragments: antsibull-changelog
	@antsibull-changelog lint

importer: setup ## Build the collection and import it as Galaxy does
	@tests/gates/importer.sh "$$($(EXPORT))" build/importer

contract: setup ## Test what no linter sees: interfaces, defaults, names, examples
	@python -m pytest -q tests/contract

integration: setup debian-java debian-prometheus debian-prometheus-node-exporter ## Test modules, plugins and playbooks against the sandbox
	@python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder $(LONGEST_FIRST)

debian-%.deb:
	@dpkg-query -W $* >/dev/null 2>&1 || { echo "Installing Debian's $* ..."; $(APT_INSTALL) $* >/dev/null; }

molecule: setup debian-docker.io.deb debian-mmdebstrap debian-iptables ## Test the roles that act on hosts
	@tests/hosts/with_engine.sh tests/hosts/molecule.sh

soak: setup debian-docker.io.deb debian-mmdebstrap debian-iptables ## Kill what acts on hosts after each of its steps, for minutes; it does not gate
	@tests/hosts/with_engine.sh python -m pytest -q -rs -m soak tests/hosts

page: setup debian-chromium ## Test the page in Chromium: its views, thousands of rows, hostile data, accessibility (build/page/*.png)
	@python -m pytest -q -n 2 tests/page

demo-check: setup debian-chromium ## Run the demo, assert its result, and look at its page in Chromium
	@python tests/demo/run.py
	@python -m pytest -q tests/demo

chaos: setup ## Play a simulated week in which much goes wrong, and judge it (build/chaos/<seed>.html; SEED=0)
	@python tests/chaos/run.py --seed $(or $(SEED),0)

bench: setup ## Measure speed and cost; it reports and does not gate (build/bench/*.json)
	@for name in allocation inventory capacity apps onboard step events volumes costs reaction storm estate page; do echo "bench: $$name ..."; python tests/bench/$$name.py || echo "bench: $$name failed"; done
	@echo "bench: volume_shrink ..."; tests/hosts/with_engine.sh python tests/bench/volume_shrink.py || echo "bench: volume_shrink failed"
	@python tests/bench/common.py

bench-backtest: setup ## Play recorded markets to the engine and to other policies (build/bench/backtest.json, .html)
	@python tests/bench/backtest.py --report

lock: $(VENV)/.installed ## Resolve requirements-dev.in into requirements-dev.lock again
	@uv pip compile --quiet --upgrade --generate-hashes --python-version 3.11 --custom-compile-command "make lock" requirements-dev.in -o requirements-dev.lock
	@cd roles/event_listener/files && uv pip compile --quiet --upgrade --universal --generate-hashes --python-version 3.11 --custom-compile-command "make lock" requirements.in -o requirements.txt

vendor: debian-npm ## Fetch the vendored JavaScript again, as tests/vendor/package-lock.json has it
	@rm -rf build/vendor && mkdir -p build && cp -r tests/vendor build/vendor
	@cd build/vendor && npm ci --ignore-scripts --no-audit --no-fund
	@cd build/vendor/node_modules && cp uplot/dist/uPlot.iife.min.js uplot/dist/uPlot.min.css $(CURDIR)/roles/dashboard/files/site/vendor
	@cd build/vendor/node_modules && cp uplot/LICENSE $(CURDIR)/roles/dashboard/files/site/vendor/uPlot.LICENSE
	@cd build/vendor/node_modules/axe-core && cp axe.min.js $(CURDIR)/tests/page/vendor && for name in LICENSE LICENSE-3RD-PARTY.txt; do cp $$name $(CURDIR)/tests/page/vendor/axe-core.$$name; done

clean: ## Remove all that the other targets made
	@rm -rf $(VENV) .collections build tests/output
