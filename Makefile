# make quickstart    the main job, small: pre-train, fine-tune, compare, write music
# make test          lint, types and the default tests: what decides whether a change is good
# make test-slow     the tests that the default run leaves out
# make lint          ruff and mypy
# make wheel         dist/t5music-VERSION-py3-none-any.whl, to install elsewhere or to upload to Colab
# make peers         PyTorch, Hugging Face and MidiTok in .venv-peers, for the benchmarks and for golden values
# make clean         removes everything these make, except quickstart/
#
# Each target does all of its set-up in .venv, with the versions of constraints.txt.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Two test processes share the cores, so one thread inside each is fastest.
TEST := NPROC=1 TF_CPP_MIN_LOG_LEVEL=3 $(BIN)/pytest -n 2 --dist loadfile

.PHONY: quickstart test test-slow lint wheel peers clean

$(VENV)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
		{ echo "the [data] extra needs Python 3.11, 3.12 or 3.13; try: make PYTHON=python3.11"; exit 2; }
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

wheel:
	$(PYTHON) -m pip wheel --quiet --no-deps --wheel-dir dist .
	@ls dist/*.whl

# A second environment, because PyTorch and JAX need not agree on versions.
peers: .venv-peers/.ready
.venv-peers/.ready:
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet torch==2.13.0
	.venv-peers/bin/python -m pip install --quiet transformers==5.23.0 miditok==3.1.0
	@touch $@

clean:
	rm -rf $(VENV) .venv-peers .mypy_cache .pytest_cache .ruff_cache build dist *.egg-info
