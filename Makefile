# llmbook: `make run` trains a model from text to GGUF; `make test` runs every check.
PYTHON ?= python3
BIN    := .venv/bin
READY  := .venv/.ready
# Where pip finds torch besides PyPI, e.g. TORCH_INDEX=https://download.pytorch.org/whl/cpu for a small CPU build on Linux.
TORCH_INDEX ?=
INDEX  := $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
# Build only what llama-cpp-python's Python API needs: no image models, no command-line tools.
LLAMA  := -DLLAVA_BUILD=OFF -DCMAKE_PROJECT_llama_cpp_INCLUDE=$(CURDIR)/.ci/llama.cmake
ARGS   ?=

.PHONY: run test check install docs clean

run: $(READY)
	@$(BIN)/llmbook book --run runs/default $(ARGS)

test: check
	@echo "Running every notebook ..."
	@OMP_NUM_THREADS=1 $(BIN)/nbdev_test
	@echo "Running the tests the notebooks export ..."
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests

check: $(READY)
	@$(BIN)/python -c "from llmbook.gate import main; raise SystemExit(main())"

install: $(READY)

$(READY): constraints.txt settings.ini setup.py .ci/llama.cmake
	@$(PYTHON) -c "import sys; sys.exit('llmbook needs Python 3.11 or newer; this is %d.%d. Name another with: make PYTHON=python3.12 ...' % sys.version_info[:2] if sys.version_info < (3, 11) else 0)"
	@echo "Setting up .venv: about 2 GB of packages (2 to 5 minutes) and llama.cpp built from source (2 to 5 minutes, once)."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@CMAKE_ARGS="$(LLAMA)" $(BIN)/python -m pip install --quiet --disable-pip-version-check $(INDEX) -c constraints.txt -e '.[dev]'
	@touch $(READY)
	@echo "Ready."

docs: $(READY)
	@$(BIN)/python -c "from nbdev.serve import proc_nbs; print('pages prepared in', proc_nbs())"
	@if command -v quarto >/dev/null; then $(BIN)/nbdev_docs; else echo "Quarto is not installed, so the pages were prepared and not rendered; see https://quarto.org."; fi

clean:
	rm -rf _proc _docs runs .pytest_cache
