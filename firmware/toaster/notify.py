"""The hub's posts: a listener, two places for who calls, nothing that waits.

A post is taken in as it comes, into memory that was made at the start; who is slow, or sends more than fits, loses the
place. The signature is checked before anything in the body is looked at (docs/SPEC.md, section 5). Who is refused is
heard out until it hangs up, a second at most: closing with bytes unread makes a reset, which may overtake the answer.
"""

import json
import socket

from toastbox.core.auth import hook_key, verify_hook

PATH = "/notify"
PLACES = 2
SIZE = 1536
PATIENCE_MS = 5000
HEARD_OUT_MS = 1000
REMEMBERED = 4


def read_post(data, key, folder):
    """What a request is worth: None while it is not complete, else (status, epoch, seq); epoch 0: no head."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None if len(data) < SIZE else (431, 0, 0)
    lines = data[:end].split(b"\r\n")
    fields = {}
    for line in lines[1:]:
        name, _, value = line.partition(b":")
        fields[name.strip().lower()] = value.strip()
    length = fields.get(b"content-length", b"0")
    if lines[0][:13] != b"POST " + PATH.encode() + b" " or not length.isdigit() or len(length) > 5:
        return 404, 0, 0
    if end + 4 + int(length) > SIZE:
        return 413, 0, 0
    body = data[end + 4 : end + 4 + int(length)]
    if len(body) < int(length):
        return None
    return _judge(fields, body, key, folder)


def _judge(fields, body, key, folder):
    try:
        names = (b"webhook-id", b"webhook-timestamp", b"webhook-signature")
        identifier, timestamp, signature = [fields.get(name, b"").decode() for name in names]
        if not verify_hook(key, identifier, timestamp, body, signature):
            return 401, 0, 0
        head = json.loads(body)
        if head["folder"] != folder:
            return 400, 0, 0
        return 204, int(head["epoch"]), int(head["seq"])
    except (ValueError, KeyError, TypeError):
        return 400, 0, 0


class Post:
    """One who calls, and what came so far."""

    __slots__ = ("buffer", "refused", "socket", "until", "used")

    def __init__(self, buffer):
        self.buffer = buffer
        self.socket = None
        self.refused = False
        self.used = self.until = 0


class Hook:
    """poller: where its sockets are registered. view: memory, PLACES * SIZE. refused: posts that were not the hub's."""

    def __init__(self, settings, poller, view):
        self._key = hook_key(settings["key"])
        self._folder = settings["folder"]
        self._poller = poller
        self._posts = [Post(view[place * SIZE : (place + 1) * SIZE]) for place in range(PLACES)]
        self._told = {}
        self.refused = 0
        self._listener = listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(socket.getaddrinfo("0.0.0.0", settings.get("port_here", 8270))[0][-1])
        listener.listen(PLACES)
        listener.setblocking(False)
        poller.register(listener, 1)

    def ready(self, source, now, cursor):
        """Something happened at source. True: the hub has what is behind cursor (epoch, seq); None: not of ours."""
        if source is self._listener:
            self._accept(now)
            return False
        for post in self._posts:
            if post.socket is source:
                return self._take(post, now, cursor)
        return None

    def wait_ms(self, now):
        return min([60000] + [max(post.until - now, 0) for post in self._posts if post.socket is not None])

    def expire(self, now):
        """Let go of who is slow."""
        for post in self._posts:
            if post.socket is not None and now >= post.until:
                self._end(post)

    def close(self):
        for post in self._posts:
            self._end(post)
        self._poller.unregister(self._listener)
        self._listener.close()

    def _accept(self, now):
        try:
            caller = self._listener.accept()[0]
        except OSError:
            return
        caller.setblocking(False)
        post = min(self._posts, key=lambda post: post.until if post.socket else -1)
        self._end(post)
        post.socket, post.refused, post.used, post.until = caller, False, 0, now + PATIENCE_MS
        self._poller.register(caller, 1)

    def _take(self, post, now, cursor):
        try:
            count = post.socket.readinto(post.buffer[post.used :])
        except OSError:
            count = 0
        if count is None:
            return False
        if post.refused:
            if not count:
                self._end(post)
            return False
        post.used += count
        judged = read_post(bytes(post.buffer[: post.used]), self._key, self._folder) if count else (0, 0, 0)
        if judged is None:
            return False
        status, epoch, seq = judged
        if status:
            try:
                post.socket.write(b"HTTP/1.1 %d \r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % status)
            except OSError:
                pass
        if status >= 400:
            self.refused += 1
            post.refused, post.used, post.until = True, 0, now + HEARD_OUT_MS
        else:
            self._end(post)
        return status == 204 and self._is_news(epoch, seq, cursor)

    def _is_news(self, epoch, seq, cursor):
        """A recording is worth one pull at most."""
        if (epoch == cursor[0] and seq <= cursor[1]) or seq <= self._told.get(epoch, -1):
            return False
        if len(self._told) >= REMEMBERED:
            self._told.clear()
        self._told[epoch] = seq
        return True

    def _end(self, post):
        if post.socket is not None:
            self._poller.unregister(post.socket)
            post.socket.close()
            post.socket = None
