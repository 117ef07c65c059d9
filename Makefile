# Everything a developer types. `make help` lists it; `demo` and `test` work as the very first command.
#
# Two stamps keep `make setup` quick when there is nothing to do: .venv/.made (a venv with what builds the package)
# and .venv/.installed (the package, its dependencies and its C extension, as they were when its sources last changed).

SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/pytest -q
WORKERS := 2
FUZZ_SECONDS := 30
SOAK_OPERATIONS := 2000000

C_SOURCES := $(wildcard cnative/src/*.c)
BUILD_INPUTS := pyproject.toml setup.py $(C_SOURCES) $(wildcard cnative/src/*.h cnative/include/*.h cnative/cffi/*.py)
C_STRICT := -std=c11 -O2 -Wall -Wextra -Wconversion -Werror

.DEFAULT_GOAL := help
.PHONY: bench-many soak firmware firmware-update test-firmware help setup demo test lint bench dedup test-core test-device test-hub test-console test-native test-sim test-net test-cli test-boards fuzz \
    format clean

help: ## This list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

setup: $(VENV)/.installed ## Make .venv and install all that is needed (system packages too, when root)

demo: setup ## A hub and two devices keep a real folder equal (KEEP=1: stays up)
	$(BIN)/python tools/demo.py $(if $(filter-out 0,$(KEEP)),--keep)

test: setup need-test need-boards ## All tests
	$(MAKE) -C cnative test-c symbols
	$(BIN)/python -m tools.cross.micropython
	$(PYTEST) -n $(WORKERS) --dist worksteal

lint: setup ## Style and types: ruff, mypy --strict, strict C
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	@set -e; for source in $(C_SOURCES); do \
	    echo "cc $(C_STRICT) $$source"; $(CC) $(C_STRICT) -Icnative/include -c -o /dev/null $$source; done

bench: setup ## Measure against Syncthing, rsync, lsyncd and Unison (root; BENCH="--quick --json OUT")
	tools/setup.sh need syncthing=syncthing rsync=rsync lsyncd=lsyncd unison=unison mkfs.ext4=e2fsprogs
	$(BIN)/python -m tools.bench $(BENCH)

bench-many: setup ## Memory and time against the number of files, ours and the peers': long (root; MANY="--files N --systems NAME")
	tools/setup.sh need syncthing=syncthing rsync=rsync unison=unison mkfs.ext4=e2fsprogs
	$(BIN)/python -m tools.bench.many $(MANY)

soak: setup ## Two million file operations, and whether memory stays (SOAK_OPERATIONS: fewer)
	@[ "$$(id -u)" != 0 ] || tools/setup.sh need mkfs.ext4=e2fsprogs losetup=mount
	$(BIN)/python -m tools.soak --operations $(SOAK_OPERATIONS)

dedup: setup ## What chunking saves on real data, beside FastCDC and fixed blocks (downloads 80 MB once)
	$(BIN)/python -m tools.bench.dedup

sizes: setup need-cross ## Code, static memory and stack of the C core on six processors (SIZES=--renew: new baseline)
	$(BIN)/python -m tools.cross.sizes $(SIZES)

natmod: setup need-cross ## The native module for MicroPython into build/natmod, its sizes and speed
	$(BIN)/python -m tools.cross.natmod

test-mcu: natmod need-mcu ## The native module and core's tests on emulated Cortex-M0 and M3
	$(PYTEST) -m mcu tests/mcu

test-arm: setup need-cross ## The C core's and the agent's tests on emulated ARMv6, ARMv7 and arm64 (root; ARM=armhf: one)
	@tools/setup.sh need mmdebstrap=mmdebstrap ip=iproute2
	$(BIN)/python -m tools.cross.arm $(ARM)

.PHONY: memory-arm
memory-arm: setup need-cross ## Peak resident memory of two agents on an emulated ARMv7 (root; FILES=10000)
	@tools/setup.sh need mmdebstrap=mmdebstrap
	$(BIN)/python -m tools.cross.memory --files $(or $(FILES),10000)

test-core: setup ## Decisions, under CPython and MicroPython
	$(PYTEST) tests/core

test-device: setup ## The device's side
	$(PYTEST) tests/device

test-hub: setup ## The hub
	$(PYTEST) tests/hub

test-console: setup need-test ## The serial console: the board's side and the PC's, on pseudo-terminals
	$(PYTEST) tests/core/both/test_console*.py tests/core/test_console_fuzz.py tests/console

test-native: setup need-test ## The C core and its Python faces
	$(MAKE) -C cnative test-c symbols
	$(PYTEST) tests/native

firmware: setup ## Compile core and firmware for MicroPython into build/firmware, and print the sizes
	$(BIN)/python tools/firmware.py build/firmware

firmware-update: firmware ## Pack and sign the program for boards in the field (KEY=owner.pem), as build/toaster.tbu
	$(BIN)/python tools/firmware_update.py $(or $(KEY),$(error say KEY=FILE: the owner's key)) build/toaster.tbu

.PHONY: bench-firmware
bench-firmware: setup need-cross ## Sizes, heap, latency and flash wear of the firmware
	$(BIN)/python tools/firmware_bench.py

test-firmware: setup need-cross ## The firmware under MicroPython, against a real hub, and with its power cut
	$(BIN)/python -m tools.cross.micropython
	$(PYTEST) tests/firmware

test-sim: setup ## Seeded histories of whole fleets in one process
	$(PYTEST) tests/sim

test-net: setup need-test ## Discovery and broken networks, in network namespaces (root)
	$(PYTEST) tests/net

test-boards: setup need-test need-boards ## Images and whole machines, the slow bad days too (root)
	$(PYTEST) -m 'whole or not whole' -rP tests/boards

test-cli: setup ## The command line and the repository's own rules
	$(PYTEST) tests/cli tests/test_repository.py

fuzz: setup ## Fuzz the C core, FUZZ_SECONDS each
	tools/setup.sh clang
	$(MAKE) -C cnative fuzz FUZZ_SECONDS=$(FUZZ_SECONDS)

format: setup ## Format the Python sources
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

clean: ## Remove everything that was made
	rm -rf $(VENV) build agent/*.egg-info agent/toastbox/_native*.so .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	$(MAKE) -C cnative clean

.PHONY: need-test need-boards setup-image need-cross need-mcu sizes natmod test-arm test-mcu
need-test: need-cross
	@tools/setup.sh need ip=iproute2 nm=binutils socat=socat
	@tools/setup.sh clang

# What `toastbox image` and `toastbox emulate` use, for the boards that QEMU plays.
need-boards:
	@tools/setup.sh need qemu-system-aarch64=qemu-system-arm mksquashfs=squashfs-tools mcopy=mtools mkfs.vfat=dosfstools \
	    sfdisk=fdisk mke2fs=e2fsprogs losetup=mount ip=iproute2 aarch64-linux-gnu-gcc=gcc-aarch64-linux-gnu \
	    arm-linux-gnueabi-gcc=gcc-arm-linux-gnueabi arm-linux-gnueabihf-gcc=gcc-arm-linux-gnueabihf
	@tools/setup.sh cross-libc armel=arm-linux-gnueabi armhf=arm-linux-gnueabihf arm64=aarch64-linux-gnu

setup-image: setup need-boards ## The same as setup, and what builds and boots images of boards

need-cross:
	@tools/setup.sh need x86_64-linux-gnu-gcc=gcc arm-linux-gnueabi-gcc=gcc-arm-linux-gnueabi \
	    arm-linux-gnueabihf-gcc=gcc-arm-linux-gnueabihf aarch64-linux-gnu-gcc=gcc-aarch64-linux-gnu \
	    qemu-arm-static=qemu-user-static dpkg-source=dpkg-dev
	@tools/setup.sh cross-libc armel=arm-linux-gnueabi armhf=arm-linux-gnueabihf arm64=aarch64-linux-gnu

need-mcu:
	@tools/setup.sh need qemu-system-arm=qemu-system-arm arm-none-eabi-gcc=gcc-arm-none-eabi
	@tools/setup.sh newlib

$(VENV)/.made: tools/setup.sh
	python=$$(tools/setup.sh python) && "$$python" -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --upgrade pip 'setuptools>=77' wheel 'cffi>=1.15'
	@touch $@

# Without build isolation a change in C costs a compile, not a second download of setuptools and cffi.
$(VENV)/.installed: $(VENV)/.made $(BUILD_INPUTS)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation -e '.[dev,hub]'
	@touch $@
