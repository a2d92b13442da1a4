# The commands people repeat. Each sets up the virtual environment it needs, once: again only if pyproject.toml changed.
#   make demo    tag the documents of labels/corpus: a table here, demo/tags.jsonl and demo/report.html
#   make serve   answer over HTTP on 127.0.0.1:3000 (HOST=… PORT=…)
#   make test    all tests but the slow ones (SLOW=1 for those)
#   make lint    ruff, pyright, import-linter
#   make clean   remove the virtual environments, caches and demo/

PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 3000
# Extra arguments for pip, such as an index that holds the CPU build of torch.
PIP_ARGS ?=

RUN := .venv
DEV := .venv-dev
POLICYTAG := $(RUN)/bin/policytag

.PHONY: demo serve test lint clean
.DELETE_ON_ERROR:

demo: $(RUN)/.installed
	@mkdir -p demo
	@$(POLICYTAG) tag labels/corpus/*.txt -o demo/tags.jsonl --html demo/report.html --overwrite
	@$(POLICYTAG) show demo/tags.jsonl
	@echo
	@echo "Rows: demo/tags.jsonl   Report: demo/report.html (open it in a browser)"

serve: $(RUN)/.installed
	@exec $(POLICYTAG) serve --host $(HOST) --port $(PORT)

test: $(DEV)/.installed
	$(DEV)/bin/python -m pytest $(if $(SLOW),-m slow)

lint: $(DEV)/.installed
	$(DEV)/bin/ruff check .
	$(DEV)/bin/ruff format --check .
	$(DEV)/bin/pyright --pythonpath $(DEV)/bin/python
	$(DEV)/bin/lint-imports

clean:
	rm -rf $(RUN) $(DEV) demo build .pytest_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The runtime: what serving needs, without torch.
$(RUN)/.installed: EXTRA :=
# Everything: training, tests and checks.
$(DEV)/.installed: EXTRA := [dev]

$(RUN)/.installed $(DEV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "make: Python 3.11 or newer is needed, but '$(PYTHON)' is not; try make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "Setting up $(@D) (a few minutes, once) ..."
	@$(PYTHON) -m venv $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) --editable '.$(EXTRA)'
	@touch $@
