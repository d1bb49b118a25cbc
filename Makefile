# Every task a person runs. Each first runs the tasks it depends on.
PYTHON ?= python3
LOCK   ?= requirements/dev.lock
VENV   := .venv
BIN    := $(VENV)/bin
PY     := $(BIN)/python
UV     := $(BIN)/uv pip
# Models and the running service of this Makefile are in this folder.
unexport QUINTET_MODEL_STORE QUINTET_RUN_DIR
CODE   := $(shell find handlers client -name '*.py' -o -name '*.yaml' -o -name '*.xml')

# The chains that models, archive and serve are about: names, or module:Class of packages on the path.
CHAIN  ?= pages
OTHERS := $(filter-out pages,$(CHAIN))
CHAINS := $(addprefix --chain ,$(CHAIN))

# The chains that `make demo` has samples for: how these are made, how they are read, and what sums it up.
PAGES   ?= 48
PHOTOS  ?= 24
SAMPLES := build/samples-$(CHAIN)
RESULTS := build/results-$(CHAIN)
SAMPLE_pages  := benchmarks.sample_pages $(SAMPLES) --pages $(PAGES)
SAMPLE_photos := benchmarks.sample_photos $(SAMPLES) --photos $(PHOTOS)
READ_photos   := --model photos --formats redacted
SUM_pages     := benchmarks.demo
SUM_photos    := benchmarks.demo_photos
# What chaos, soak and cost-curve read with another chain than pages: a folder.
ITEMS ?= build/samples-photos

.PHONY: help setup models archive serve stop demo demo-missing test test-parts test-whole test-all chaos fuzz bench bench-gpu gpu-budget cost-curve soak audit sbom check format lock clean
.DEFAULT_GOAL := help

help: ## list the tasks
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/.installed ## virtual environment, locked and hashed install

# uv installs in seconds; pip follows where uv cannot reach the index that pip is configured for.
$(VENV)/.installed: $(LOCK) requirements/setup.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.11 setup")'
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/setup.lock
	$(UV) install --quiet --python $(PY) --require-hashes -r $(LOCK) \
	  || $(PY) -m pip install --quiet --require-hashes -r $(LOCK)
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index -e .
	@touch $@

models: archive ## the networks, converted and verified (MODELS="--files DIR"); the archive with them

# Of other chains make does not know the files: they are looked at each time.
archive: $(if $(filter pages,$(CHAIN)),model_store/quintet.mar) $(VENV)/.installed ## model_store/NAME.mar, quintet.mar for pages, with its networks
	@$(if $(OTHERS),$(BIN)/quintet models $(addprefix --chain ,$(OTHERS)) $(MODELS))

model_store/quintet.mar: $(VENV)/.installed $(CODE) $(wildcard model_store/sources model_store/sources/*)
	$(BIN)/quintet models
	@touch $@

serve: $(VENV)/.installed ## start the service; returns when all chains read (CHAIN="pages photos", FOREGROUND=1, SHARED_MEMORY=on)
	$(if $(SHARED_MEMORY),QUINTET_SHARED_MEMORY=$(SHARED_MEMORY)) $(BIN)/quintet serve $(CHAINS) $(if $(FOREGROUND),--foreground)

stop: ## stop the service
	@test ! -x $(BIN)/quintet || $(BIN)/quintet stop

demo: $(if $(SAMPLE_$(CHAIN)),$(VENV)/.installed,demo-missing) ## everything on generated pages, or on photos (CHAIN=photos), with a summary
	rm -rf $(SAMPLES) $(RESULTS)
	$(PY) -m $(SAMPLE_$(CHAIN)) --seed 7
	$(BIN)/quintet serve $(CHAINS)
	$(BIN)/quintet read $(SAMPLES) $(RESULTS) $(READ_$(CHAIN)) --token-file build/serve/key_file.json; \
	  status=$$?; $(BIN)/quintet stop; test $$status -eq 0 -o $$status -eq 3
	$(PY) -m $(SUM_$(CHAIN)) $(SAMPLES)/truth.json $(RESULTS)

build/samples-photos: | $(VENV)/.installed
	$(PY) -m benchmarks.sample_photos $@ --photos $(PHOTOS) --seed 7

demo-missing:
	@echo "make demo has samples for CHAIN=pages and CHAIN=photos, not for $(CHAIN)" >&2; exit 2

test: model_store/quintet.mar ## the gate, for every change: all but the slow tests, in minutes
	@$(MAKE) --no-print-directory -j2 -Otarget test-parts test-whole

# The two halves of the gate take the two cores of a small machine: parts alone, and the service with all around it.
test-parts test-whole: model_store/quintet.mar
	$(PY) -m pytest -m "not slow" --durations=25 -p no:cacheprovider $(if $(filter test-parts,$@),tests/unit,--ignore tests/unit)

test-all: build/peers/.installed ## every test: peers, photos, chaos, fuzz, browser, proxy and benchmarks too
	@$(MAKE) --no-print-directory archive CHAIN="pages photos"
	@$(MAKE) --no-print-directory -j3 -Otarget $(PARTS:tests/%=test-all-%)
	$(PY) -m pytest --durations=25 $(PARTS:%=--ignore %)

# Parts side by side, as the client's mostly wait; services are tried by themselves, as some of their tests hold times
# against limits.
PARTS := tests/unit tests/chain tests/client
.PHONY: $(PARTS:tests/%=test-all-%)
$(PARTS:tests/%=test-all-%):
	$(PY) -m pytest --durations=25 -p no:cacheprovider $(@:test-all-%=tests/%)

# Of pages the frame is what is tried, with a cheap chain: hundreds of kills in the time that networks take to load.
chaos: $(if $(OTHERS),$(ITEMS) archive) $(VENV)/.installed ## kill workers, servers and clients while pages are read: make chaos CHAOS="--rounds 5 --seed 1", CHAIN=photos
	$(PY) -m tests.chaos $(if $(OTHERS),--chain $(OTHERS) --items $(ITEMS)) $(CHAOS)

fuzz: model_store/quintet.mar ## damaged images through the decoder and the service: make fuzz FUZZ="--inputs 10000 --http 500 --seed 1"
	$(PY) -m tests.fuzz $(FUZZ)

# The fastest peers on a CPU live apart, one of them for Python 3.12 or later with an OpenVINO of its own. Without such a
# Python (uv looks on the PATH, not at pyenv's) or without an index, rows of `make bench` say what is missing.
PEERS_PYTHON ?= $(lastword >=3.12 $(wildcard $(HOME)/.pyenv/versions/3.1[2-9]*/bin/python))

build/peers/.installed: requirements/peers.lock $(VENV)/.installed
	-@for python in '$(PEERS_PYTHON)' $(PY); do \
	  $(BIN)/uv venv --quiet --clear --no-python-downloads --python "$$python" $(@D) && break; done; \
	{ $(UV) install --quiet --python $(@D) --require-hashes -r $< \
	  || $(PY) -m pip --python $(@D) install --quiet --require-hashes -r $<; } && touch $@

bench: model_store/quintet.mar build/peers/.installed ## peers, habits one by one, the service and its limit in one table; and the photo chain's peer
	$(PY) -m benchmarks.bench $(BENCH)
	$(BIN)/quintet models --chain photos >/dev/null
	$(PY) -m benchmarks.bench_photos $(BENCH_PHOTOS)

gpu-budget: model_store/quintet.mar ## what a batch asks of a GPU, counted without one, and the speed that predicts: make gpu-budget GPU_BUDGET="--pages 8"
	$(PY) -m benchmarks.gpu_budget $(GPU_BUDGET)

cost-curve: archive $(if $(OTHERS),$(ITEMS)) ## speed and memory at 100, 1,000 and 5,000 small pages (CHAIN=photos)
	$(PY) -m benchmarks.cost_curve $(CHAINS) $(if $(OTHERS),--items $(ITEMS)) $(COST_CURVE)

soak: archive $(if $(OTHERS),$(ITEMS)) ## memory stays flat and no page is lost: make soak SOAK="--minutes 20" (a day: 1440), CHAIN=photos
	$(PY) -m benchmarks.soak $(CHAINS) $(if $(OTHERS),--items $(ITEMS)) $(SOAK)

audit: $(VENV)/.installed ## pins and bundled libraries against OSV; without a network: make audit AUDIT="--advisories DIR"
	$(PY) requirements/audit.py $(AUDIT)

sbom: $(patsubst requirements/%.lock,build/sbom/%.cdx.json,$(wildcard requirements/*.lock)) ## CycloneDX files of the lock files, into build/sbom

# The tool checks what it writes against CycloneDX's schema. It warns that lock files hold no graph of dependencies.
build/sbom/%.cdx.json: requirements/%.lock pyproject.toml $(VENV)/.installed
	@mkdir -p $(@D)
	$(PY) -W ignore::UserWarning -m cyclonedx_py requirements $< --pyproject pyproject.toml --output-reproducible -o $@.$$$$ && mv $@.$$$$ $@

# Works on a GPU machine without a network: any python3 with torch, models and wheels from folders.
bench-gpu: ## the same on a GPU: make bench-gpu BENCH_GPU="--models model_store --wheels DIR"
	$(if $(wildcard $(PY)),$(PY),$(PYTHON)) -m benchmarks.bench_gpu $(BENCH_GPU)

check: $(VENV)/.installed ## lint, format, types, directions of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed ## let ruff fix what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

COMPILE := $(UV) compile --quiet --universal --python-version 3.11 --generate-hashes --no-header
EXTRAS  := --extra bulk --extra serve

lock: ## compile the lock files again; they name no index
	$(COMPILE) requirements/setup.in -o requirements/setup.lock
	$(COMPILE) requirements/peers.in -o requirements/peers.lock
	$(COMPILE) pyproject.toml -o requirements/client.lock
	$(COMPILE) pyproject.toml $(EXTRAS) -c requirements/client.lock -o requirements/serve.lock
	$(COMPILE) pyproject.toml $(EXTRAS) --extra dev -c requirements/client.lock -o requirements/dev.lock

clean: stop ## remove everything that was built; model_store/sources stays
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find model_store -mindepth 1 ! -name README.md ! -path '*/sources*' -delete
	find . -name __pycache__ -prune -exec rm -rf {} +
