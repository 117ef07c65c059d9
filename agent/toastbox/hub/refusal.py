"""How the hub says no: one exception, which is also the problem document of RFC 9457."""

import json


class Refusal(Exception):
    """A request that is refused. code and status: docs/SPEC.md section 4; extra: members of the document."""

    def __init__(self, code: str, status: int, title: str, **extra: str | int) -> None:
        super().__init__(title)
        self.code = code
        self.status = status
        self.title = title
        self.extra = extra

    def problem(self) -> bytes:
        """The body to answer with. It holds nothing but what the raiser gave."""
        document = {"type": "about:blank", "title": self.title, "status": self.status, "code": self.code}
        return json.dumps(document | self.extra).encode()


def bad_request(title: str) -> Refusal:
    """What was sent is malformed; the same again will not help."""
    return Refusal("bad-request", 400, title)


def too_large(title: str) -> Refusal:
    """Above a limit of docs/SPEC.md."""
    return Refusal("too-large", 413, title)


def not_found(title: str) -> Refusal:
    """Nothing of that name here."""
    return Refusal("not-found", 404, title)


def wrong_epoch(epoch: int) -> Refusal:
    """The device knows another journal: it must compare everything again."""
    return Refusal("epoch", 409, "the hub's journal was restored", epoch=str(epoch))


def unauthorized() -> Refusal:
    """The same for an unknown device and a wrong token."""
    return Refusal("unauthorized", 401, "this device is not known here")


def revoked() -> Refusal:
    """Said only to who proves to be that device."""
    return Refusal("revoked", 403, "this device was revoked")


def busy(status: int, retry_s: int) -> Refusal:
    """Try later. status: 429 (this device does too much) or 503 (the hub cannot now)."""
    return Refusal("busy", status, "the hub is busy, try later", retry_after=retry_s)


def full() -> Refusal:
    """No room on the hub's disk."""
    return Refusal("full", 507, "the hub's disk is full")
