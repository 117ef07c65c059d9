"""The control socket: requests, refusals, and peers that misbehave."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from toastbox.device import control
from toastbox.errors import SafetyRefused, WrongUse

IDENTITY = (0x7E57, 0x7E57)


async def handler(request: dict[str, Any]) -> dict[str, Any]:
    """A stand-in for the agent."""
    if request["do"] == "fail":
        raise WrongUse("not like this")
    if request["do"] == "long":
        return {"held": ["x" * 4096] * 500}
    return {"echo": request}


@pytest.fixture
def agent() -> Iterator[None]:
    """A control server in its own thread."""
    ready, loop = threading.Event(), asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        server = control.ControlServer(IDENTITY, handler)
        await server.start()
        ready.set()
        await stop.wait()
        await server.stop()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    yield
    loop.call_soon_threadsafe(stop.set)
    thread.join(10)
    loop.close()


def raw() -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(10)
    sock.connect(control.address(IDENTITY))
    return sock


def test_nobody_answers_when_no_agent_runs() -> None:
    assert control.ask(IDENTITY, {"do": "status"}) is None


@pytest.mark.usefixtures("agent")
def test_agent_answers() -> None:
    assert control.ask(IDENTITY, {"do": "echo", "n": 1}) == {"ok": True, "echo": {"do": "echo", "n": 1}}


@pytest.mark.usefixtures("agent")
def test_long_answer_comes_whole() -> None:
    answer = control.ask(IDENTITY, {"do": "long"})
    assert answer is not None
    assert len(answer["held"]) == 500


@pytest.mark.usefixtures("agent")
def test_refusal_carries_text_and_exit_code() -> None:
    with pytest.raises(control.RemoteFailure, match="not like this") as caught:
        control.ask(IDENTITY, {"do": "fail"})
    assert caught.value.exit_code == 2


@pytest.mark.usefixtures("agent")
@pytest.mark.parametrize("line", [b"\n", b"x\n", b"[]\n", b'{"do": 3}\n', b"[" * 5000 + b"\n", b"\xff\n"])
def test_nonsense_is_refused_and_the_connection_goes_on(line: bytes) -> None:
    with raw() as sock, sock.makefile("rwb") as stream:
        stream.write(line)
        stream.flush()
        assert json.loads(stream.readline())["ok"] is False
        stream.write(b'{"do": "echo"}\n')
        stream.flush()
        assert json.loads(stream.readline())["ok"] is True


@pytest.mark.usefixtures("agent")
def test_endless_line_ends_the_connection() -> None:
    with raw() as sock:
        try:
            sock.sendall(b"x" * (control.REQUEST_LIMIT * 4))
            ended = sock.recv(1) == b""
        except ConnectionError:
            ended = True
        assert ended
    assert control.ask(IDENTITY, {"do": "echo"}) is not None


@pytest.mark.usefixtures("agent")
def test_one_connection_too_many_is_closed_and_the_others_served() -> None:
    held = [raw() for _ in range(control.MOST_CONNECTIONS)]
    for sock in held:
        sock.sendall(b'{"do": "echo"}\n')
        assert sock.recv(1) == b"{"
    with raw() as late:
        assert late.recv(1) == b""
    for sock in held:
        sock.close()


@pytest.mark.usefixtures("agent")
def test_strangers_get_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "is_own", lambda sock: False)
    with raw() as sock:
        assert sock.recv(1) == b""


@pytest.mark.usefixtures("agent")
def test_name_that_is_taken_is_refused() -> None:
    with pytest.raises(SafetyRefused, match="control socket"):
        asyncio.run(control.ControlServer(IDENTITY, handler).start())
