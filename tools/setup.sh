#!/bin/sh
# Makes sure that the programs a Makefile target needs are there, and prints the Python to use.
#
#   tools/setup.sh python           a Python of at least 3.11 that can make a venv and build extensions; prints it
#                                   (Debian's own, another on PATH where that is too old, or what PYTHON names)
#   tools/setup.sh need CMD=PKG...  every command CMD, which Debian's package PKG brings
#   tools/setup.sh newlib           a C library for arm-none-eabi-gcc, which has none of its own
#   tools/setup.sh clang            a clang that can link sanitizers and fuzzers (Debian has their run-time apart)
#
# As root on Debian what is missing is installed; otherwise it is named, with the command to type, and the exit code
# is 1. Nothing is asked of apt when nothing is missing.
set -eu

MINIMUM='(3, 11)'

install() { # packages...
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        echo "setup: missing system packages. Install them, then run make again:" >&2
        echo "    sudo apt-get install $*" >&2
        exit 1
    fi
    echo "setup: installing $*" >&2
    export DEBIAN_FRONTEND=noninteractive
    apt-get install -y -qq --no-install-recommends "$@" >&2 ||
        { apt-get update -qq >&2 && apt-get install -y -qq --no-install-recommends "$@" >&2; }
}

recent() { # python
    command -v "$1" >/dev/null && "$1" -c "import sys; sys.exit(sys.version_info < $MINIMUM)"
}

can_make_venv() {
    "$1" -c 'import ensurepip, venv' 2>/dev/null
}

has_headers() {
    "$1" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))'
}

choose() { # the first Python that lacks nothing, else the first that is new enough
    # Debian's own before the one on PATH: it is what boards have, and a tenth faster than one built without profile.
    candidates=${PYTHON:-/usr/bin/python3 python3 python3.13 python3.12 python3.11}
    for python in $candidates; do
        recent "$python" && can_make_venv "$python" && has_headers "$python" && command -v "$python" && return
    done
    for python in $candidates; do
        recent "$python" && command -v "$python" && return
    done
    true
}

ready_python() {
    packages=
    found=$(choose)
    [ -n "$found" ] || install python3 python3-venv python3-dev
    found=$(choose)
    [ -n "$found" ] || { echo "setup: Python 3.11 or newer is needed; name one: make PYTHON=..." >&2; exit 1; }
    can_make_venv "$found" || packages="python3-venv"
    has_headers "$found" || packages="$packages python3-dev"
    command -v cc >/dev/null || packages="$packages gcc libc6-dev"
    # shellcheck disable=SC2086 # a list of words
    [ -z "$packages" ] || install $packages
    echo "$found"
}

need() { # command=package...
    packages=
    for pair in "$@"; do
        command -v "${pair%%=*}" >/dev/null || packages="$packages ${pair#*=}"
    done
    # shellcheck disable=SC2086
    [ -z "$packages" ] || install $packages
}

cross_libc() { # architecture=compiler...: what is needed to link a program, which --no-install-recommends leaves out
    packages=
    for pair in "$@"; do
        echo 'int main(void) { return 0; }' | "${pair#*=}-gcc" -static -x c -o /dev/null - 2>/dev/null ||
            packages="$packages libc6-dev-${pair%%=*}-cross"
    done
    # shellcheck disable=SC2086
    [ -z "$packages" ] || install $packages
}

can_fuzz() {
    echo 'int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return n && *d == 0 ? 0 : 0; }' |
        clang -fsanitize=fuzzer,address,undefined -x c -o /dev/null - 2>/dev/null
}

ready_clang() {
    can_fuzz || install clang
    # The run-time's package is named after clang's version.
    can_fuzz || install "libclang-rt-$(clang -dumpversion | cut -d. -f1)-dev"
    can_fuzz || { echo "setup: this clang cannot link -fsanitize=fuzzer,address,undefined" >&2; exit 1; }
}

has_newlib() {
    echo '#include <string.h>' | arm-none-eabi-gcc -E -o /dev/null -x c - 2>/dev/null
}

case "${1:-}" in
clang) ready_clang ;;
newlib) has_newlib || install libnewlib-arm-none-eabi ;;
python) ready_python ;;
cross-libc) shift; cross_libc "$@" ;;
need) shift; PATH="$PATH:/usr/sbin:/sbin" need "$@" ;;
*) echo "usage: tools/setup.sh python | clang | newlib | need COMMAND=PACKAGE... | cross-libc ARCH=COMPILER..." >&2; exit 2 ;;
esac
