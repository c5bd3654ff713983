# knock-lead-adapter. `make` alone prints this list.
# Needs Python 3.11+, make and nothing else: .venv is made from the locked versions in requirements/.

PYTHON ?= python3
BIN := .venv/bin
TOOLS := .venv-tools/bin
COMPILE := $(TOOLS)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --no-header --no-strip-extras

.DEFAULT_GOAL := help
.PHONY: help demo run test acceptance coverage chaos hostile people check bench format docs pictures wheel lock audit sbom clean

help: ## print this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## /  make \1|/' | column -t -s '|' 2>/dev/null \
		|| grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST)

.venv/ready: requirements/dev.txt pyproject.toml
	@echo "setting up .venv (once; about half a minute)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; this is " + sys.version.split()[0] + ". Set PYTHON=…")'
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: .venv/ready ## show the whole job: four senders, the sandbox, and what is booked in Knock
	@$(BIN)/adapter demo

run: .venv/ready ## run everything on this machine: PostgreSQL, web, worker, sandbox
	@$(BIN)/adapter run

# Tests marked `timed` never run beside each other, nor do the tests of one acceptance module.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadgroup $(PYTEST_OPTIONS)

test: .venv/ready ## run the unit and integration tests, and the demo from end to end
	@$(PYTEST) tests/unit tests/integration tests/acceptance/test_demo.py

acceptance: .venv/ready ## run the tests that start real processes, stop servers, drive a browser
	@$(PYTEST) tests/acceptance

coverage: .venv/ready ## run `make test`, measure which branches it reaches and name its ten slowest tests
	@$(MAKE) --no-print-directory test PYTEST_OPTIONS="-q --cov --cov-report=term --durations=10"

ROUNDS ?= 3
SEED ?= 1

chaos: .venv/ready ## break everything at random and look for lost or doubled leads (ROUNDS=50 SEED=1)
	@$(BIN)/python -m tools.chaos --rounds $(ROUNDS) --seed $(SEED)

REQUESTS ?= 300
PAYLOADS ?= 3000
FIRST ?= 0

hostile: .venv/ready ## send hostile requests beside a genuine sender (REQUESTS=10000 PAYLOADS=130000 SEED=1)
	@$(BIN)/python -m tools.hostile --requests $(REQUESTS) --payloads $(PAYLOADS) --seed $(SEED) --first $(FIRST)

SEQUENCES ?= 1000

people: .venv/ready ## play random sequences of requests, and look for wrong tours (SEQUENCES=10000 SEED=1)
	@$(BIN)/python -m tools.people --sequences $(SEQUENCES) --seed $(SEED)

check: .venv/ready ## all that CI checks besides the tests: format, lint, types, mappings, generated files
	@$(BIN)/ruff format --check --quiet . || { echo "the format is wrong: run make format"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/adapter check
	@$(BIN)/adapter check mappings/gallery
	@$(BIN)/python -m pytest -q -p no:randomly tests/unit/test_docs.py tests/unit/test_gallery.py tests/unit/test_mapping_docs.py tests/unit/test_architecture.py

bench: .venv/ready ## measure, as ratios side by side, within ten minutes
	@$(BIN)/python -m bench

format: .venv/ready ## format the code and fix what the linter can fix
	@$(BIN)/ruff check --quiet --fix .
	@$(BIN)/ruff format --quiet .

docs: .venv/ready ## regenerate the generated parts of README.md and docs/
	@$(BIN)/python -m docs.generate

pictures: .venv/ready ## take the screenshots of the console in docs/ (needs Chromium)
	@$(BIN)/python -m tools.pictures

wheel: .venv/ready ## build the wheel in dist/
	@$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

# Apart from .venv, because what they need themselves is no part of the adapter.
.venv-tools/ready: requirements/tools.txt
	@$(PYTHON) -m venv .venv-tools
	@$(TOOLS)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/tools.txt
	@touch $@

lock: .venv-tools/ready ## compile requirements/ from pyproject.toml
	$(COMPILE) pyproject.toml -o requirements/production.txt
	$(COMPILE) pyproject.toml --extra embedded -o requirements/embedded.txt
	$(COMPILE) pyproject.toml --extra embedded --extra otel --extra dev -o requirements/dev.txt
	$(COMPILE) --group tools -o requirements/tools.txt

audit: .venv-tools/ready ## look for known vulnerabilities of the locked versions (needs the internet)
	@$(TOOLS)/python -m tools.audit

sbom: .venv-tools/ready ## list the licenses of what is deployed, and write build/sbom.json (CycloneDX)
	@$(TOOLS)/python -m tools.sbom

clean: ## remove .venv and what the tools left (not var/, which holds data)
	rm -rf .venv .venv-tools .coverage* .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info
