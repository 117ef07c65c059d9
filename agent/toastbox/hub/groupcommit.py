"""Group commit: one thread writes for all connections, and one flush pays for all that waited.

    connections --submit--> queue --> [ job, job, job ] --> flush --> answers

The thread takes what has queued up while the last flush ran, runs it, flushes once, and only then are the answers
given: what is acknowledged is on stable storage. The busier the hub, the larger the groups, so that commits a
second grow while flushes a second do not. A group is closed after MAX_GROUP jobs or MAX_WORK_S of work.

Uploads need no flush of their own (a commit that names a chunk flushes it first): a group of nothing else is
only published, and flushed when the thread has had nothing to do for a while.

A job may refuse (Refusal): that is its answer. If anything else goes wrong, nothing of the group is kept, all of it
fails, and devices send it again; every request may be repeated.
"""

import asyncio
import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from toastbox.errors import HubUnreachable, ToastboxError
from toastbox.hub.refusal import Refusal
from toastbox.hub.service import HubService

_log = logging.getLogger(__name__)
MAX_GROUP = 256
MAX_WORK_S = 0.05
IDLE_FLUSH_S = 0.5

T = TypeVar("T")


class _Job:
    """work: what to do; durable: whether its answer waits for a flush; done: told (result, error)."""

    __slots__ = ("done", "durable", "error", "result", "work")

    def __init__(
        self, work: Callable[[], Any], durable: bool, done: Callable[[Any, BaseException | None], None]
    ) -> None:
        self.work = work
        self.durable = durable
        self.done = done
        self.result: Any = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.result = self.work()
        except Refusal as refusal:
            self.error = refusal


class GroupCommit:
    """The writing thread of a service. submit() is for the event loop it was made in, call() for other threads."""

    def __init__(self, service: HubService, loop: asyncio.AbstractEventLoop) -> None:
        self._service = service
        self._loop = loop
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._unflushed = False
        self._door = threading.Lock()  # nothing may come to the queue behind the word that ends it
        self._stopped = False
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[], T], durable: bool = True) -> "asyncio.Future[T]":
        """Have work run on the writing thread; the future is done when what it did is durable."""
        future: asyncio.Future[T] = self._loop.create_future()

        def done(result: T, error: BaseException | None) -> None:
            if not future.cancelled():
                _settle(future, result, error)

        self._put(_Job(work, durable, done))
        return future

    def call(self, work: Callable[[], T]) -> T:
        """The same for any other thread, which waits."""
        future: Future[T] = Future()
        self._put(_Job(work, True, lambda result, error: _settle(future, result, error)))
        return future.result()

    def stop(self) -> None:
        """Finish what was submitted, flush, end the thread."""
        with self._door:
            self._stopped = True
            self._queue.put(None)
        self._thread.join()

    def _put(self, job: _Job) -> None:
        with self._door:
            if self._stopped:
                raise HubUnreachable("the hub is stopping")
            self._queue.put(job)

    def _run(self) -> None:
        while not self._ended:
            group: list[_Job] = []
            try:
                self._gather(group)
                self._make_durable(group)
            except Exception as error:
                self._give_up(group, error)
            self._answer(group)

    def _gather(self, group: list[_Job]) -> None:
        """Wait for a job, then run it and all that are queued behind it."""
        job = self._next(wait=True)
        until = time.monotonic() + MAX_WORK_S
        while job is not None:
            group.append(job)
            job.run()
            more = len(group) < MAX_GROUP and time.monotonic() < until
            job = self._next(wait=False) if more else None

    def _next(self, wait: bool) -> _Job | None:
        """The next job; None: none is queued, or the idle time is over, or there will be no more."""
        try:
            job = self._queue.get(wait, IDLE_FLUSH_S if self._unflushed else None)
        except queue.Empty:
            return None
        if job is None:
            self._ended = True
        return job

    def _make_durable(self, group: list[_Job]) -> None:
        if not group or any(job.durable for job in group):
            self._service.flush()
            self._unflushed = False
        else:
            self._service.publish()
            self._unflushed = True

    def _give_up(self, group: list[_Job], error: Exception) -> None:
        """Nothing of the group is kept. A full or failing disk is the answer; anything else is a defect here."""
        if not isinstance(error, ToastboxError):
            _log.error("a group of %d jobs failed", len(group), exc_info=error)
        for job in group:
            job.result, job.error = None, job.error or error
        try:
            self._service.rollback()
            self._unflushed = False
        except ToastboxError as worse:
            _log.error("cannot roll back: %s", worse)

    def _answer(self, group: list[_Job]) -> None:
        """Wake the event loop once for all."""
        with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody waits any more
            self._loop.call_soon_threadsafe(_tell, group)


def _tell(group: list[_Job]) -> None:
    for job in group:
        job.done(job.result, job.error)


def _settle(future: Any, result: object, error: BaseException | None) -> None:
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)
