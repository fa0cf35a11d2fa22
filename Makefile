# Everything a person or CI runs. `make help` lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
UV := $(VENV)/bin/uv
GPU ?= $(if $(wildcard /proc/driver/nvidia/version),1,0)
EXTRA := $(if $(filter 1,$(GPU)),gpu,cpu)
READY := $(VENV)/.ready-$(EXTRA)
AUDITED := $(VENV)/.audited
GPU_VENV := .venv-gpu
GPU_READY := $(GPU_VENV)/.ready
DATA ?= synthetic
DEMO_SECONDS ?= 0
PORT ?= 8080
TOURS ?= 15
ROUNDS ?= 2
MINUTES ?= 20
CASES ?= 20000
ARGS ?=

.PHONY: help setup demo test test-faults soak fuzz audit check lock openapi kafka screenshots bench-quality bench-parts bench-scale bench-index bench-gpu bench-encoder bench-promotion clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(READY)  ## make .venv with everything in it (GPU=1 takes faiss-gpu and torch)

$(READY): pyproject.toml requirements.txt
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or newer is needed: set PYTHON=..."; exit 1; }
	@test -x $(UV) || { $(PYTHON) -m venv $(VENV) && \
	  awk '/^uv==/ {p = 1} p {print} p && !/\\$$/ {exit}' requirements.txt > $(VENV)/uv.txt && \
	  $(PY) -m pip install -q --require-hashes -r $(VENV)/uv.txt; }
	@$(UV) pip install -q --compile-bytecode --python $(PY) -e '.[$(EXTRA),dev]' -c requirements.txt
	@$(PY) -m compileall -q stream indexes  # a start takes 2 s longer without
	@echo "compiling the kernels, once (a few minutes)"
	@$(PY) -c "from indexes import warm as index; from stream.learn import warmup; index.warm(); warmup.warm()"
	@touch $@

# faiss-cpu and faiss-gpu are the same import package, so each has an environment of its own.
$(GPU_READY): pyproject.toml requirements.txt | $(READY)
	$(UV) venv -q --allow-existing --python $(PY) $(GPU_VENV)
	$(UV) pip install -q --python $(GPU_VENV)/bin/python -c requirements.txt \
	  faiss-gpu numpy numba hypothesis pytest pytest-timeout
	@touch $@

demo: $(READY)  ## the service on a built-in stream (DEMO_SECONDS=30, DATA=folder, PORT=8080)
	@$(VENV)/bin/braid run --source $(DATA) --seconds $(DEMO_SECONDS) --set serve.port=$(PORT) $(ARGS)

audit:  ## look at the dependencies again: locks, licences, known vulnerabilities
	@rm -f $(AUDITED)
	@$(MAKE) -s $(AUDITED)

$(AUDITED): requirements.txt tests/audit.py | $(READY)
	@$(PY) tests/audit.py
	@touch $@

check: $(READY) $(AUDITED)  ## style, types, imports, dependencies
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check -q .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

test: check  ## all tests, on a real Kafka too; the index tests on both faiss wheels
	$(PY) -m pytest -m "not faults" $(ARGS)
	@if $(MAKE) -s $(GPU_READY); then \
	  $(GPU_VENV)/bin/python -m pytest --noconftest tests/contracts/test_index.py; \
	elif [ "$$CI" = true ]; then echo "faiss-gpu could not be installed" >&2; exit 1; \
	else echo "faiss-gpu could not be installed: its index tests were skipped"; fi

test-faults: $(READY)  ## kill the service at every step, brokers beneath it (TOURS=15)
	FAULT_TOURS=$(TOURS) FAULT_ROUNDS=$(ROUNDS) $(PY) -m pytest tests/faults --ignore tests/faults/test_fuzz.py $(ARGS)

fuzz: $(READY)  ## cases against the codec and the OpenAPI file (CASES=20000)
	FUZZ_CASES=$(CASES) $(PY) -m pytest tests/faults/test_fuzz.py $(ARGS)

soak: $(READY)  ## load, faults and rebalances, and the memory at the end (MINUTES=20)
	$(PY) -m tests.faults.soak --minutes $(MINUTES) $(ARGS)

openapi: $(READY)  ## write deploy/openapi.json
	$(PY) deploy/openapi.py

lock: $(READY)  ## compile requirements.txt from pyproject.toml
	$(UV) pip compile -q pyproject.toml --all-extras --generate-hashes --no-emit-index-url \
	  --no-annotate --no-header --upgrade -o requirements.txt

kafka: $(READY)  ## a Kafka broker from its own jars, on port 9092, until Ctrl-C
	$(PY) deploy/kafka/launcher.py --port 9092 $(ARGS)

screenshots: $(READY)  ## the live page in four states, desktop and phone, to deploy/screenshots
	$(PY) -m tests.screenshots $(ARGS)

bench-quality: $(READY)  ## accuracy on the evaluation folders, kept (DATA=../shared/data)
	$(PY) tests/bench/bench_quality.py $(if $(filter synthetic,$(DATA)),,--data $(DATA)) \
	  --extreme tibkat --out tests/bench/results $(ARGS)

bench-index: $(READY)  ## the prototype index at 10^5 and 10^6 labels, beside faiss' own
	$(PY) tests/bench/bench_index.py --labels 100000 1000000 --out tests/bench/results $(ARGS)

# faiss-gpu and torch are in .venv where it was set up with GPU=1.
bench-gpu: $(READY)  ## the GPU index at 10^6 and 10^7 labels; says so where there is no GPU
	$(PY) tests/bench/bench_gpu.py --out tests/bench/results $(ARGS)

bench-encoder: $(READY)  ## a learnt embedding against the fixed projection (DATA=../shared/data)
	$(PY) tests/bench/bench_encoder.py $(if $(filter synthetic,$(DATA)),,--data $(DATA)) \
	  --out tests/bench/results $(ARGS)

bench-promotion: $(READY)  ## a promotion and a rollback under load, and what training costs
	$(PY) tests/bench/bench_promotion.py --out tests/bench/results $(ARGS)

bench-parts: $(READY)  ## what every part of the learners is worth (DATA=../shared/data)
	$(PY) tests/bench/bench_ablation.py $(if $(filter synthetic,$(DATA)),,--data $(DATA)) \
	  --out tests/bench/results $(ARGS)

bench-scale: $(READY)  ## cost against labels, 10^3 to 10^6, beside the peers (about half an hour)
	@$(UV) pip install -q --python $(PY) -e '.[bench]' -c requirements.txt
	$(PY) tests/bench/bench_scale.py --out tests/bench/results $(ARGS)

clean:  ## remove environments and caches
	rm -rf $(VENV) $(GPU_VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis
