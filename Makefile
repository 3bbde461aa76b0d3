# make app    starts the app on http://localhost:8501, in its own virtual environment
# make test   runs every check: style, types, tests
#
# make app TORCH_INDEX=https://download.pytorch.org/whl/cpu   with a CPU-only torch
PYTHON ?= python3
VENV ?= .venv
CORES ?= 2
BIN := $(VENV)/bin

.PHONY: app test check format clean

app: $(VENV)/.app
	$(BIN)/python -m streamlit run streamlit_app.py

# first the tests that can run side by side, one file per core, then those that measure time or use all cores
test: $(VENV)/.dev check
	$(BIN)/python -m pytest -m "not alone" --numprocesses $(CORES) --dist loadfile
	$(BIN)/python -m pytest -m alone

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 to 3.14 is needed, this is " + sys.version.split()[0] + "; name another with PYTHON=" if not (3, 11) <= sys.version_info < (3, 15) else 0)'
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "no virtual environment could be made; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@if [ -n "$(TORCH_INDEX)" ]; then $(BIN)/python -m pip install $$(grep -E '^torch' requirements.txt) --index-url $(TORCH_INDEX); fi

$(VENV)/.app: requirements.txt | $(BIN)/python
	$(BIN)/python -m pip install -r requirements.txt
	touch $@

$(VENV)/.dev: requirements.txt requirements-dev.txt | $(BIN)/python
	$(BIN)/python -m pip install -r requirements-dev.txt
	touch $@ $(VENV)/.app
