"""Memory for requests, shared by all connections: what does not fit now waits its turn."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator


class Budget:
    """total_bytes may be taken at once. First come, first served. For the event loop only."""

    def __init__(self, total_bytes: int) -> None:
        self._total = total_bytes
        self._free = total_bytes
        self._queue: deque[tuple[int, asyncio.Future[None]]] = deque()

    @contextlib.asynccontextmanager
    async def take(self, size_bytes: int) -> AsyncIterator[None]:
        """Hold size_bytes (at most the total) inside."""
        size = min(size_bytes, self._total)
        await self._acquire(size)
        try:
            yield
        finally:
            self._free += size
            self._serve()

    async def _acquire(self, size: int) -> None:
        if not self._queue and size <= self._free:
            self._free -= size
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((size, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._free += size
            self._serve()
            raise

    def _serve(self) -> None:
        while self._queue:
            size, turn = self._queue[0]
            if turn.done():
                self._queue.popleft()
            elif size <= self._free:
                self._queue.popleft()
                self._free -= size
                turn.set_result(None)
            else:
                return
