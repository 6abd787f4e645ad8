# The recipes of raydesk. A fresh machine needs Python 3.11 or later, make and git; all else goes to .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help run test check docs screenshots load bench bench-intent soak chaos lock clean

help: ## Show the recipes
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

run: $(VENV)/run.stamp ## Install, and start everything with the demo account (ARGS="--auto-scale" and the like)
	$(BIN)/raydesk up --demo $(ARGS)

test: $(VENV)/test.stamp ## Install, and run all tests (ARGS="-k name" and the like)
	$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/test.stamp ## Lint, format, types, and the three storeys
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/pyright --pythonpath $(BIN)/python

docs: $(VENV)/test.stamp ## Write the tables of docs/protocol.md anew, from the code
	$(BIN)/python -m deployments.documents docs/protocol.md

screenshots: $(VENV)/test.stamp ## Make the pictures of the documents anew (wants a Chromium)
	$(BIN)/python -m tests.web.screenshots docs/pictures

load: $(VENV)/run.stamp ## Drive a system of its own with a scenario (ARGS="black-friday --kill router@30s" and the like)
	$(BIN)/raydesk load --start $(ARGS)

# Status 3 says that the generator was what was measured; the report says where, and the rest counts.
bench: $(VENV)/test.stamp ## Measure each rate, the limit, a routing decision and a call (reports: load-report/)
	$(BIN)/raydesk load --start rates --out load-report/rates $(ARGS) || [ $$? -eq 3 ]
	$(BIN)/raydesk load --start --find-knee --out load-report/knee $(ARGS) || [ $$? -eq 3 ]
	$(BIN)/python -m tests.bench.routing_decision
	$(BIN)/python -m tests.bench.calls

bench-intent: $(VENV)/bench.stamp ## Measure the intent model beside other batching servers
	$(BIN)/python -m tests.bench.intent $(ARGS)

soak: $(VENV)/test.stamp ## The slow tests; then 200,000 texts, the strange ones among them, through the intent model
	$(BIN)/python -m pytest -m slow
	$(BIN)/python -m tests.bench.intent_soak $(ARGS)

# As above: whatever can be counted was right, or the status is 1.
chaos: $(VENV)/run.stamp ## Kill every kind of process under 2,000 messages/s, and audit each of them
	$(BIN)/raydesk load --start kills --out load-report/kills $(ARGS) || [ $$? -eq 3 ]

lock: $(VENV)/test.stamp ## Choose the newest allowed versions anew, into constraints.txt
	$(PIP) install "uv>=0.13,<0.14"
	$(BIN)/uv pip compile --quiet --system-certs --upgrade --universal --python-version 3.11 --extra test \
		--no-header --no-annotate --no-emit-index-url --no-emit-find-links pyproject.toml -o constraints.txt

clean: ## Remove what the recipes made; the data stay
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find models cluster deployments tests -type d -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "raydesk needs Python 3.11 or later; set PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The stamps are younger than what they were made from, so a changed lock is installed by the next recipe.
$(VENV)/run.stamp: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing raydesk into $(VENV) (a few minutes the first time) ..."
	PIP_CONSTRAINT=constraints.txt $(PIP) install --editable .
	@touch $@

$(VENV)/test.stamp: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing raydesk and what its tests need into $(VENV) (a few minutes the first time) ..."
	PIP_CONSTRAINT=constraints.txt $(PIP) install --editable '.[test,train]'
	@touch $(VENV)/run.stamp $@

$(VENV)/bench.stamp: $(VENV)/test.stamp
	$(PIP) install "mosec>=0.9.8,<0.10" "litserve>=0.2.19,<0.3"
	@touch $@
