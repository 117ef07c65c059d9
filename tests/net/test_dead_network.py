"""A network that goes away without a word: the kernel notices, nobody chatters, and what was missed is told."""

import time

SHORT_BREAK_S = 2


def test_dead_stream_is_noticed_and_resumed(lan):
    hub, device = lan.host(), lan.host()
    credentials = hub.run("stream_hub.py", hub.address).wait_for("ready")["credentials"]
    program = device.run("stream_device.py", credentials, 1, 3000)
    program.wait_for("connected", connected=True)
    program.wait_for("head", seq=1)
    lan.cut(device)
    program.wait_for("connected", connected=False)
    lan.join(device)
    program.wait_for("connected", connected=True)
    program.wait_for("head", seq=1)


def test_hub_that_dies_without_goodbye_is_noticed(lan):
    """kill -9 closes its sockets; its machine would not, which is the test above."""
    hub, device = lan.host(), lan.host()
    server = hub.run("stream_hub.py", hub.address)
    program = device.run("stream_device.py", server.wait_for("ready")["credentials"], 60, 60_000)
    program.wait_for("connected", connected=True)
    server.kill()
    program.wait_for("connected", connected=False)


def test_short_break_goes_unnoticed(lan):
    """Probes are repeated: one lost is no reason to connect anew."""
    hub, device = lan.host(), lan.host()
    credentials = hub.run("stream_hub.py", hub.address).wait_for("ready")["credentials"]
    program = device.run("stream_device.py", credentials, 1, 20_000)
    program.wait_for("head", seq=1)
    lan.cut(device)
    time.sleep(SHORT_BREAK_S)
    lan.join(device)
    time.sleep(SHORT_BREAK_S)
    assert program.heard() == []
