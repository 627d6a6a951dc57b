# Every target does its own set-up: `make demo` and `make test` work on a fresh clone.

SHELL := /bin/bash
MAKEFLAGS += --no-print-directory
bin := .venv/bin

# Processes that run tests at once.
WORKERS ?= 2
# Passed on to the demo, pytest or the bench: make test ARGS="-k dpop"
ARGS ?=

.PHONY: help setup demo test fuzz lint format bench protos lock clean

help:
	@echo "make demo    the main job, end to end, on emulated TPMs"
	@echo "make test    the tests                     make lint    ruff and mypy"
	@echo "make bench   the benchmarks and their page make format  ruff's own fixes"
	@echo "make fuzz    the fuzz targets, FUZZ_SECONDS=60 each"
	@echo "make protos  regenerate the gRPC code      make lock    resolve the requirements again"
	@echo "make setup   only get ready                make clean   remove all that make made"

setup:
	@scripts/setup.sh

demo: setup
	@$(bin)/keystead demo $(ARGS)

test: setup
	@$(bin)/python -m pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

fuzz:
	@$(MAKE) -C native fuzz

lint: setup
	@$(bin)/ruff check .
	@$(bin)/ruff format --check .
	@$(bin)/mypy src/keystead $(wildcard bench)

format: setup
	@$(bin)/ruff check --fix .
	@$(bin)/ruff format .

bench: setup
	@$(bin)/python -m bench $(ARGS)

protos: setup
	@scripts/protos.sh

lock:
	@scripts/lock.sh

clean:
	@if [ -f native/Makefile ]; then $(MAKE) -C native clean; fi
	@rm -rf tests/node/node_modules bench/peers/node/node_modules bench/report .venv build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache .benchmarks
	@find src tests scripts bench -type d \( -name __pycache__ -o -name '*.egg-info' \) -prune -exec rm -rf {} + 2>/dev/null || true
	@find src -name '*.so' -delete
