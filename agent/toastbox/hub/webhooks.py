"""Posting heads to devices that asked for it instead of holding a connection (docs/SPEC.md, section 5).

A device is posted to at the address that its registration came from and nowhere else. While it does not answer,
more tries follow for some minutes, with jitter; then the hub is silent until the device asks for anything. Of
heads that come while a post is under way only the newest is posted.
"""

import asyncio
import json
import random
import ssl
from typing import NamedTuple

import aiohttp
from yarl import URL

from toastbox.core.auth import hook_key, sign_hook
from toastbox.core.backoff import delay_s
from toastbox.hub.clock import Clock
from toastbox.hub.journal.base import Device
from toastbox.hub.refusal import bad_request

ATTEMPTS = 10  # within three to six minutes: so long a radio may be out of reach
_BASE_S = 1.0
_CAP_S = 120.0
_TIMEOUT = aiohttp.ClientTimeout(total=10, connect=5)
_POSTS_AT_ONCE = 64
_MAX_PATH = 256


class Hook(NamedTuple):
    """Where to post. host: an address, not a name."""

    host: str
    port: int
    tls: bool
    path: str


def parse_hook(body: bytes, host: str) -> Hook:
    """The hook of a `PUT /v1/webhook` that came from host. Raises Refusal."""
    try:
        request = json.loads(body)
        hook = Hook(host, request["port"], request["tls"], request["path"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise bad_request("not a webhook registration") from error
    good_port = type(hook.port) is int and 0 < hook.port < 65536
    if not good_port or type(hook.tls) is not bool or not _good_path(hook.path):
        raise bad_request("port, tls or path of the webhook is not valid")
    return hook


def _good_path(path: object) -> bool:
    """A plain absolute path: nothing that could be read as another host or as a query."""
    allowed = "/-._~"
    return (
        isinstance(path, str)
        and 0 < len(path) <= _MAX_PATH
        and path[0] == "/"
        and "//" not in path
        and all(c in allowed or (c.isascii() and c.isalnum()) for c in path)
    )


class _Target:
    """A device that is posted to. wanted, told: heads; quiet: it has not answered, and is left alone."""

    __slots__ = ("device", "hook", "quiet", "task", "told", "wanted")

    def __init__(self, device: Device, hook: Hook) -> None:
        self.device = device
        self.hook = hook
        self.wanted = self.told = -1
        self.quiet = False
        self.task: asyncio.Task[None] | None = None


class Webhooks:
    """All registered hooks. For the event loop only. tls: trusts the certificates this hub has signed."""

    def __init__(self, tls: ssl.SSLContext, clock: Clock) -> None:
        self._tls = tls
        self._clock = clock
        self._targets: dict[int, _Target] = {}
        self._limit = asyncio.Semaphore(_POSTS_AT_ONCE)
        self._session: aiohttp.ClientSession | None = None
        self._names: dict[int, str] = {}
        self._epoch = 0

    def count(self) -> int:
        return len(self._targets)

    def set(self, device: Device) -> None:
        """Post to device.hook from now on; "" ends it."""
        self.remove(device.number)
        if device.hook:
            self._targets[device.number] = _Target(device, Hook(*json.loads(device.hook)))

    def remove(self, number: int) -> None:
        target = self._targets.pop(number, None)
        if target and target.task:
            target.task.cancel()

    def awake(self, number: int) -> None:
        """The device has asked for something: it may be posted to again."""
        target = self._targets.get(number)
        if target and target.quiet:
            target.quiet = False
            self._go(target)

    def tell_head(self, folder: int, ident: str, epoch: int, seq: int) -> None:
        """The head of a folder has moved."""
        self._names[folder] = ident
        if epoch != self._epoch:
            self._epoch = epoch
            for target in self._targets.values():
                target.told = -1
        for target in self._targets.values():
            if target.device.folder == folder:
                target.wanted = seq
                self._go(target)

    async def close(self) -> None:
        for number in list(self._targets):
            self.remove(number)
        if self._session:
            await self._session.close()

    def _go(self, target: _Target) -> None:
        running = target.task is not None and not target.task.done()
        if not running and not target.quiet and target.wanted > target.told:
            target.task = asyncio.create_task(self._deliver(target))

    async def _deliver(self, target: _Target) -> None:
        attempt = 1
        while target.wanted > target.told:
            seq = target.wanted
            async with self._limit:
                told = await self._post(target, seq)
            if told:
                target.told, attempt = seq, 1
            elif attempt == ATTEMPTS:
                target.quiet = True
                return
            else:
                await asyncio.sleep(delay_s(attempt, random.random(), _BASE_S, _CAP_S))
                attempt += 1

    async def _post(self, target: _Target, seq: int) -> bool:
        """Whether the device took it. What it answers beside the status is not read."""
        hook, epoch = target.hook, self._epoch
        message = {"folder": self._names[target.device.folder], "epoch": str(epoch), "seq": seq}
        body = json.dumps(message).encode()
        headers = _headers(target.device.key, f"{epoch}:{seq}", str(self._clock.now_s()), body)
        scheme = "https" if hook.tls else "http"
        url = URL.build(scheme=scheme, host=hook.host, port=hook.port, path=hook.path)
        try:
            async with self._client().post(
                url, data=body, headers=headers, allow_redirects=False, ssl=self._tls
            ) as answer:
                return 200 <= answer.status < 300
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=_POSTS_AT_ONCE, force_close=True)
            self._session = aiohttp.ClientSession(
                connector=connector, timeout=_TIMEOUT, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
            )
        return self._session


def _headers(key: bytes, message_id: str, timestamp: str, body: bytes) -> dict[str, str]:
    return {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": sign_hook(hook_key(key), message_id, timestamp, body),
    }
