"""The C core's and the agent's tests on ARM, by emulation: `make test-arm`.

    python -m tools.cross.arm [armel] [armhf] [arm64]

For each architecture the C tests run as one static program, then Python's in a small Debian system, with the extension
built for it; among them a hub and two agents. armel runs on an ARM1176, the processor of a Pi Zero and Pi 1: whatever
is compiled for a newer one dies there by SIGILL, and that this is so is tried first, with a program for ARMv7.

Left out are the decisions' long random histories, and what runs compilers or asks for kernel counters (ABSENT says
which): they say nothing about a processor, or cannot run in user-mode emulation. Each architecture's output is in
build/cross/test-ARCHITECTURE.log. Exit status 1 when one fails.
"""

import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tools.cross.count import emulator
from tools.cross.roots import CACHE, SYSTEMS, System, command, emulation, environment, install, make_root
from tools.cross.targets import CNATIVE, target

TESTS = (
    *("tests/core/both", "tests/core", "tests/native", "tests/device"),
    "tests/cli/test_cli_whole.py::test_one_shot_each_way_and_then_nothing_to_say",
    "tests/cli/test_cli_whole.py::test_agents_keep_two_folders_equal_and_end_when_told",
)
ABSENT = (
    # Pure Python with long random inputs.
    "--ignore-glob=*_fuzz.py",
    "--ignore=tests/core/test_convergence.py",
    "--deselect=tests/native/test_native_chunker.py::test_every_split_in_two_gives_same_cuts[Chunker1]",
    "--deselect=tests/device/test_hook.py::test_whole_list_of_hashes_may_be_asked",
    # They run compilers, or MicroPython, which is there for x86-64 only.
    "--ignore=tests/native/test_native_core.py",
    "--ignore=tests/native/test_native_forms.py",
    "--ignore=tests/native/test_native_micropython.py",
    "--ignore=tests/core/test_micropython.py",
    # It races a limit of seconds, which an emulated processor on a busy machine may lose.
    "--deselect=tests/device/test_hook.py::test_one_address_gets_few_connections",
    # User-mode emulation has no openat2: the agent does without, but these tests want it.
    "--deselect=tests/native/test_native_sums.py::test_without_openat2_the_answer_is_the_same",
    "--ignore=tests/device/test_engine_mounts.py",
    # It makes and mounts a file system of its own; which code for which processor wrote to it makes no difference.
    "--ignore=tests/device/test_engine_aftermath_ext4.py",
    # It does not pass on TCP_INFO either, by which the kernel counts a connection's bytes.
    "--deselect=tests/device/test_remote.py::test_kernel_counts_bytes_of_all_connections",
    "--deselect=tests/device/test_remote_hub.py::test_files_go_up_and_come_down",
)
PYTEST = ("/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "addopts=", "--timeout=600")
LIMIT_S = 7200  # of one architecture; beside 20 busy processes it takes 50 minutes


def gate_holds() -> None:
    """Tries that an ARM1176 refuses a program for ARMv7. RuntimeError when it runs: armel would prove nothing."""
    program = build_c_tests(SYSTEMS["armhf"])
    ended = run_c_tests(SYSTEMS["armel"], program)
    if ended != -signal.SIGILL:
        raise RuntimeError(f"a program for ARMv7 ended with {ended} on an ARM1176, not by SIGILL")


def build_c_tests(system: System) -> Path:
    """cnative/tests as one static program."""
    made = target(system.architecture)
    folder = CACHE / f"c-{system.architecture}"
    flags = [f"CC={made.tool('gcc')} {' '.join(made.flags)} -static", f"BUILD={folder}", "SANITIZE="]
    subprocess.run(["make", "-s", "-C", str(CNATIVE), *flags, str(folder / "test-c")], check=True, timeout=300)
    return folder / "test-c"


def run_c_tests(system: System, program: Path) -> int:
    """The exit status; negative: the signal that ended it."""
    run = [emulator(target(system.architecture)), "-cpu", system.processor, str(program)]
    return subprocess.run(run, cwd=CACHE, timeout=600, check=False, capture_output=True).returncode


def run_python_tests(system: System, log: Path) -> int:
    inside = ["/bin/sh", "-c", 'cd /toastbox && exec "$@"', "sh", *PYTEST, *TESTS, *ABSENT]
    with log.open("w") as output:
        run = command(system, *inside)
        done = subprocess.run(run, env=environment(system), stdout=output, stderr=output, timeout=LIMIT_S, check=False)
    return done.returncode


def test(system: System) -> bool:
    """All of one architecture; says how it went on stdout."""
    began = time.monotonic()
    log = CACHE / f"test-{system.architecture}.log"
    core = run_c_tests(system, build_c_tests(system))
    python = run_python_tests(system, log)
    last = log.read_text().strip().splitlines()[-1:]
    passed = core == 0 and python == 0
    took = f"{time.monotonic() - began:.0f} s"
    c_tests = "passed" if core == 0 else f"ended with {core}"
    print(f"{system.architecture} on {system.processor}: C tests {c_tests}; Python {''.join(last)}; {took}", flush=True)
    if not passed:
        print(log.read_text()[-6000:])
    return passed


def main() -> int:
    names = sys.argv[1:] or list(SYSTEMS)
    if unknown := [name for name in names if name not in SYSTEMS]:
        print(f"arm: no architecture {unknown[0]}; there are {', '.join(SYSTEMS)}", file=sys.stderr)
        return 2
    systems = [SYSTEMS[name] for name in names]
    for system in systems:
        make_root(system)
        install(system)
    gate_holds()
    with emulation(), ThreadPoolExecutor(2) as pool:
        return 0 if all(list(pool.map(test, systems))) else 1


if __name__ == "__main__":
    sys.exit(main())
