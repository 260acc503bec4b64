# Two commands do everything on a fresh Debian 12 with Swift: `make compare` and `make test`.

SHELL := /bin/bash
CONFIGURATION := release
# One build configuration for the program and the tests, so that nothing is compiled twice.
BUILD := swift build -c $(CONFIGURATION)
NINEFOLD := .build/$(CONFIGURATION)/ninefold
OUTPUT ?= ninefold-report
BENCH_OUTPUT ?= ninefold-bench
ARGUMENTS ?=
SEEDS ?= 1000
MODE ?=

.PHONY: help compare bench bench-micro test soak build test-build dependencies test-dependencies check format generate clean

help:
	@echo 'make compare   install what is missing, build, compare the three storage modes, write $(OUTPUT)/'
	@echo 'make bench     install what is missing, build, measure the data path, write $(BENCH_OUTPUT)/ (ARGUMENTS="--quick --modes isr")'
	@echo 'make test      install what is missing, build, run every test'
	@echo 'make soak SEEDS=n [MODE=isr|tiered|shared]   walk fresh seeds of the cluster simulation (docs/testing.md)'
	@echo 'make build     build the program only'
	@echo 'make bench-micro   count what pieces of the data path cost (docs/benchmarks.md), ARGUMENTS="--check --seconds 0"'
	@echo 'make check     formatting, arrows between modules'
	@echo 'make format    format the sources in place'
	@echo 'make generate SCHEMAS=DIR   write the Kafka codec anew from Kafka schema files'

compare: build
	$(NINEFOLD) compare --output $(OUTPUT) $(ARGUMENTS)

bench: build
	$(NINEFOLD) bench --suite --output $(BENCH_OUTPUT) $(ARGUMENTS)

bench-micro: dependencies
	Scripts/build-benchmarks.sh $(CONFIGURATION)
	.build/$(CONFIGURATION)/ninefold-benchmarks $(ARGUMENTS)

build: dependencies
	$(BUILD) --product ninefold

test-build: dependencies
	$(BUILD) --build-tests

test: dependencies test-dependencies test-build
	Scripts/test.sh $(CONFIGURATION)

soak: dependencies test-build
	Scripts/soak.sh $(SEEDS) $(MODE)

dependencies:
	@Scripts/install-dependencies.sh build

test-dependencies:
	@Scripts/install-dependencies.sh test

check:
	swift format lint --strict --recursive --parallel Package.swift Sources Tests Benchmarks
	python3 Scripts/check-arrows.py

format:
	swift format --in-place --recursive --parallel Package.swift Sources Tests Benchmarks

generate:
	python3 Scripts/generate-kafka-protocol.py $(SCHEMAS) Sources/KafkaProtocol/Generated

clean:
	rm -rf .build .venv $(OUTPUT) $(BENCH_OUTPUT)
