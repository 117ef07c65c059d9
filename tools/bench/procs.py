"""The programs under test: started in sessions of their own, always ended by their own ids."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Self

from tools.bench.errors import MissingPeer, ProgramFailed

STOP_TIMEOUT_S = 10.0
LOG_TAIL_BYTES = 2000


def environment(more: dict[str, str] | None = None) -> dict[str, str]:
    """Ours and more. Programs keep what they compile, as everywhere: a shell's wish to the contrary is not theirs."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return inherited | (more or {})


class Processes:
    """Starts programs and ends all of them on exit, newest first. Output goes to one log file each."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _type: object, error: BaseException | None, _trace: object) -> None:
        """An error on its way gets the end of every log as a note, before the logs are gone."""
        for name in reversed(list(self._running)):
            if error is not None:
                error.add_note(f"{name}: {self.tail(name) or 'logged nothing'}")
            self.stop(name)

    def start(self, name: str, *argv: str | Path, env: dict[str, str] | None = None) -> int:
        """Starts one program; the answer is its process id. `env` is added to the environment."""
        with self.log(name).open("ab") as log:
            self._running[name] = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment(env),
                start_new_session=True,
            )
        return self._running[name].pid

    def stop(self, name: str) -> None:
        """Asks the program and its children to end, and makes them after a while."""
        process = self._running.pop(name)
        _signal_group(process.pid, signal.SIGTERM)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            pass  # the kill below is what comes next
        finally:
            _signal_group(process.pid, signal.SIGKILL)
            process.wait()

    def check(self) -> None:
        """Raises ProgramFailed, with the end of its log, when any program has ended by itself."""
        for name, process in self._running.items():
            if process.poll() is not None:
                raise ProgramFailed(f"{name} ended with {process.returncode}: {self.tail(name)}")

    def log(self, name: str) -> Path:
        """Where this program's output goes."""
        return self._logs / f"{name}.log"

    def tail(self, name: str) -> str:
        """The end of a program's log."""
        return self.log(name).read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace").strip()


def run(*argv: str | Path, timeout_s: float = 600.0, env: dict[str, str] | None = None) -> str:
    """Runs a program to its end; the answer is its stdout. Raises ProgramFailed for any other end than 0."""
    try:
        done = subprocess.run(
            argv,
            check=False,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
            env=environment(env),
        )
    except subprocess.TimeoutExpired as error:
        raise ProgramFailed(f"{argv[0]} did not end within {timeout_s:.0f} s") from error
    if done.returncode != 0:
        raise ProgramFailed(f"{argv[0]} ended with {done.returncode}: {done.stderr.strip()[-LOG_TAIL_BYTES:]}")
    return done.stdout


def require(program: str, package: str) -> None:
    """Raises MissingPeer when the program is not on the path."""
    if not any(os.access(Path(folder, program), os.X_OK) for folder in os.get_exec_path()):
        raise MissingPeer(f"{program} is not installed: apt-get install {package}, or --without {package}")


def free_port() -> int:
    """A TCP port of the loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_port(port: int, processes: Processes, timeout_s: float = 30.0) -> None:
    """Returns when something listens on the port."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        processes.check()
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise ProgramFailed(f"nothing listens on port {port} after {timeout_s:.0f} s")


def _signal_group(pid: int, number: int) -> None:
    """Each program leads a session, so its group is its own and its children's."""
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return
