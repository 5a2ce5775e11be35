# Two commands do all the set-up from a fresh clone: `make study` and `make test`.
# They need Python 3.11 or newer, make and a C++ compiler, and leave the system's Python alone.
#
# After a change of the C++ sources `make native` rebuilds the extension in place in a few seconds
# (`make test` and `make study` notice such a change too). Python sources need nothing: they are imported where they lie.

PYTHON ?= python3
BIN := .venv/bin
# Uncompiled: of large packages little is imported, and that compiles itself then.
PIP := $(BIN)/python -m pip install --disable-pip-version-check --no-compile --constraint constraints.txt
SETUP := pyproject.toml constraints.txt native/CMakeLists.txt $(wildcard native/*.cpp native/*.hpp)
STUDY := .venv/.ready-for-study
DEV := .venv/.ready-for-test
CHECKED := $(wildcard src tests benchmarks examples tools conftest.py)
FLOOR := 90

.PHONY: help study test format lint types contracts unit coverage native sanitize zoo prove bench history clean
.DEFAULT_GOAL := help

help:  ## show these lines
	@sed -n 's/^\([a-z]*\):.*## /  make \1	/p' $(MAKEFILE_LIST) | expand -t 18

study: $(STUDY)  ## learn from real data whether dropout helps and which (writes dropkit-study/report.html)
	@$(BIN)/dropkit study

test: $(DEV) lint types contracts unit  ## run every check: format, lint, types, layering, tests, doctests

lint: $(DEV)  ## formatter and linter, changing nothing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

format: $(DEV)  ## let the formatter and the linter mend what they can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

types: $(DEV)  ## mypy --strict
	$(BIN)/mypy --strict $(CHECKED)

# Tests may import everything, so the layering is checked on a copy without them, where an empty file stands for the
# extension. -S keeps the editable installation out, which would win over the copy.
contracts: $(DEV)  ## who may import whom
	@rm -rf build/contracts && mkdir -p build/contracts
	@tar -C src --exclude='*_test.py' --exclude=conftest.py -cf - dropkit | tar -C build/contracts -xf -
	@touch build/contracts/dropkit/_native.py
	cd build/contracts && PYTHONPATH=.:$$(echo ../../.venv/lib/python3*/site-packages) ../../$(BIN)/python -S \
	  ../../$(BIN)/lint-imports --config ../../pyproject.toml --no-logo

# One thread a worker: two workers on two cores would otherwise fight over them.
unit: $(DEV)  ## tests and doctests
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 3

# Apart from `test`: counting lines takes half as long again.
coverage: $(DEV)  ## the same tests with branch coverage
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 3 --cov --cov-report=term --cov-fail-under=$(FLOOR)

native: $(DEV)  ## rebuild the C++ extension in place
	$(PIP) --quiet --no-build-isolation --no-deps --editable .

sanitize: $(DEV)  ## random calls of the native code under the sanitizers of address, undefined behaviour and thread
	bash tools/sanitize.sh

zoo: .venv-zoo/.ready  ## dropout of timm's and torchvision's models for ours, in an environment of its own (6 GB)
	.venv-zoo/bin/python -m pytest tests/zoo --override-ini addopts=--import-mode=importlib

prove: $(DEV)  ## measure what the tests are too short for, and write it into docs
	$(BIN)/python -m tools.prove

bench: $(DEV)  ## speed and memory, each against its peer in the same run, into docs/speed.md
	$(BIN)/python -m benchmarks

history: $(DEV)  ## seconds of today beside those of earlier commits on this machine
	@$(BIN)/pytest benchmarks/history.py --override-ini addopts=--import-mode=importlib -W default \
	  --override-ini python_files=history.py --benchmark-storage=.benchmarks --benchmark-autosave \
	  --benchmark-compare --benchmark-warmup=on --benchmark-min-rounds=50 \
	  --benchmark-columns=min,median,iqr,rounds --benchmark-group-by=fullname

clean:  ## remove everything that these commands made
	rm -rf .venv .venv-zoo build dist .benchmarks .coverage* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	rm -rf native/CMakeFiles native/CMakeCache.txt native/CMakeInit.txt native/cmake_install.cmake native/build.ninja
	rm -rf native/.cmake native/.ninja_* native/.skbuild-info.json native/*.a src/dropkit/_native*.so
	find src tests benchmarks -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "dropkit needs Python 3.11 or newer, and '$(PYTHON)' is not one: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; \
	  echo "'$(PYTHON)' cannot make a virtual environment with pip (on Debian: apt-get install python3-venv)"; exit 1; }

$(STUDY): $(SETUP) | $(BIN)/python
	$(PIP) --editable '.[study]'
	@touch $@

$(DEV): $(SETUP) | $(BIN)/python
	$(PIP) --editable '.[dev]'
	@touch $(STUDY) $@

# torchvision goes with one torch alone, of which there is no small build.
.venv-zoo/.ready: pyproject.toml $(wildcard native/*.cpp native/*.hpp)
	@$(PYTHON) -m venv .venv-zoo
	.venv-zoo/bin/python -m pip install --disable-pip-version-check --no-compile \
	  torch==2.14.1 torchvision==0.29.1 timm==1.0.30 numpy hypothesis pytest .
	@touch $@
