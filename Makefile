# make quickstart: the main job, small.   make test: what decides.   Both do all of their set-up.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Test processes share the cores: one thread each inside a process is fastest.
TEST := NPROC=1 TF_CPP_MIN_LOG_LEVEL=3 $(BIN)/pytest -n 2 --dist loadfile

.PHONY: quickstart test test-slow lint peers clean

$(VENV)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
		{ echo "t5music needs Python 3.11, 3.12 or 3.13; try: make PYTHON=python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[data,dev]'
	@touch $@

quickstart: $(VENV)/.ready
	$(BIN)/t5music quickstart --dir quickstart

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(TEST) -m 'not slow and not gpu'

test-slow: $(VENV)/.ready
	$(TEST) -m slow

# PyTorch and Hugging Face, which the numerics and the benchmarks are compared with.
peers: .venv-peers/.ready
.venv-peers/.ready:
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet torch==2.13.0
	.venv-peers/bin/python -m pip install --quiet transformers==5.23.0 miditok==3.1.0
	@touch $@

clean:
	rm -rf $(VENV) .venv-peers .mypy_cache .pytest_cache .ruff_cache build dist *.egg-info
