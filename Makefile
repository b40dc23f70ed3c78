# Everything that people and CI do. Two commands on a fresh machine: `make demo`, `make test`.
PYTHON ?= $(shell command -v python3.11 || echo python3)
VENV := .venv
BIN := $(VENV)/bin
# GPU=1 adds the CUDA libraries that TensorFlow was built with.
LOCK := $(if $(GPU),requirements-gpu.lock,requirements-dev.lock)
STAMP := $(VENV)/.installed-$(basename $(LOCK))

.PHONY: install demo test test-fast check format lock clean

install: $(STAMP)

# Rebuilt when the lock or the package's own metadata changes.
$(STAMP): $(LOCK) pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --no-deps --require-hashes -r $(LOCK)
	$(BIN)/pip install --quiet --no-deps --editable .
	touch $@

demo: install
	$(BIN)/odbench run

test: install
	$(BIN)/pytest --numprocesses auto --dist loadfile

# What neither imports TensorFlow nor starts whole odbench processes: seconds.
test-fast: install
	$(BIN)/pytest --numprocesses auto --dist loadfile -m "not tf and not process"

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Needs uv on the PATH. Resolves anew and rewrites the locks.
UV_COMPILE := uv pip compile pyproject.toml --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --quiet --no-header --upgrade
lock:
	$(UV_COMPILE) --output-file requirements.lock
	$(UV_COMPILE) --extra dev --output-file requirements-dev.lock
	$(UV_COMPILE) --extra dev --extra gpu --output-file requirements-gpu.lock

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
