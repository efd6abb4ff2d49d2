# Each target sets up .venv by itself; `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_QUIET := --quiet --disable-pip-version-check
OUT ?= demo-out

.DEFAULT_GOAL := help
.PHONY: help install demo test soak lint format bench wheel clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# torch goes first, so that the installer settles on the tested version before anything else asks for it.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install $(PIP_QUIET) torch==2.13.0
	$(BIN)/pip install $(PIP_QUIET) -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/pip install $(PIP_QUIET) -c constraints.txt -e '.[dev]'
	@touch $@

install: $(VENV)/.installed  ## virtual environment with framecue in it

demo: $(VENV)/.installed  ## render, extract, train, evaluate, classify: the main job on built-in videos (OUT=demo-out)
	$(BIN)/framecue demo --out $(OUT)

test: $(VENV)/.installed-dev  ## lint, types, all tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n 2 $(PYTEST_ARGS)

soak: $(VENV)/.installed-dev  ## 600 mutated files, 300 rewrites of an index: a quarter of an hour, 2 GiB
	$(BIN)/python tests/soak/fuzz_videos.py
	$(BIN)/python tests/soak/index_rewrites.py

lint: $(VENV)/.installed-dev  ## lint and types alone
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed-dev  ## rewrite the sources in the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.installed  ## speed against the plain paths, as ratios in one run, and memory by length of a video
	$(BIN)/python benchmarks/training_step.py
	$(BIN)/python benchmarks/extraction.py
	$(BIN)/python benchmarks/many_runs.py --threads 1
	$(BIN)/python benchmarks/scorers.py
	$(BIN)/python benchmarks/long_video.py
	$(BIN)/python benchmarks/moment_index.py

wheel: $(VENV)/.installed-dev  ## build the wheel into dist/
	$(BIN)/pip wheel $(PIP_QUIET) --no-deps --wheel-dir dist .

clean:  ## remove the virtual environment and what was built
	rm -rf $(VENV) build dist
