# SPDX-License-Identifier: MIT
#
# The menu: what there is to do here, each in one word. The work is done by CMake presets and by
# scripts/; every target first installs the Debian packages it needs and that are missing.

PREFIX ?= /usr/local
CONFIG ?=
TOOL   ?= ON
JOBS   ?= $(shell nproc 2>/dev/null || echo 2)
DEPS    = @scripts/install-deps $@
BUILD   = @scripts/build -j $(JOBS)

.DEFAULT_GOAL := help
.PHONY: help demo test check bench wcet size fuzz soak format menuconfig docs install clean

help:
	@echo "make demo       record a program, replay it on the heap; read the dump of one that crashed"
	@echo "make test       everything: host, 32 bit, sanitizers, microcontrollers in QEMU, packages, docs"
	@echo "make check      the quick loop: host tests, include floors, configuration, format"
	@echo "make bench      time against other allocators, in one run          (build/bench/*.json)"
	@echo "make wcet       exact worst-case instruction counts per core        (build/wcet.json)"
	@echo "make size       bytes of code and RAM per component and core        (build/size.json)"
	@echo "make fuzz       libFuzzer on every target          (SECONDS_EACH=60 unless you say more)"
	@echo "make soak       the long form of the random tests"
	@echo "make docs       the manual                                          (build/docs/html)"
	@echo "make format     format every C file"
	@echo "make menuconfig choose the configuration                            (.config)"
	@echo "make install    headers, libraries, tool          (PREFIX=$(PREFIX), CONFIG=.config, TOOL=OFF)"
	@echo "make clean      remove build/"

demo:
	$(DEPS)
	$(BUILD) release ealloc ealloc_tool ealloc_preload
	@scripts/demo

test:
	$(DEPS)
	@scripts/run-tests

check:
	$(DEPS)
	@scripts/run-tests --quick

bench:
	$(DEPS)
	$(BUILD) release all allocator_bench
	@scripts/bench

wcet size:
	$(DEPS)
	@scripts/$@

fuzz:
	$(DEPS)
	@scripts/fuzz

soak:
	$(DEPS)
	$(BUILD) host
	@scripts/soak

docs:
	$(DEPS)
	@docs/build

format:
	$(DEPS)
	@scripts/format

menuconfig:
	$(DEPS)
	@KCONFIG_CONFIG=.config menuconfig Kconfig
	@echo "Build and install it with: make install CONFIG=.config PREFIX=..."

# A build tree of its own, so that a CONFIG given here stays out of the other builds.
install:
	$(if $(filter ON OFF,$(TOOL)),,@echo "make install: TOOL is ON or OFF, not '$(TOOL)'" >&2; exit 2)
	$(DEPS)
	$(if $(CONFIG),@scripts/kconfig-header $(CONFIG) -o build/install/ealloc_config.h)
	@cmake --preset release -B build/install -DCMAKE_INSTALL_PREFIX=$(PREFIX) \
	    -DEALLOC_BUILD_TESTS=OFF -DEALLOC_BUILD_BENCH=OFF -DEALLOC_BUILD_HOST=$(TOOL) \
	    -DEALLOC_CONFIG_HEADER=$(if $(CONFIG),$(CURDIR)/build/install/ealloc_config.h) >/dev/null
	@cmake --build build/install -j $(JOBS)
	@cmake --install build/install

clean:
	rm -rf build
