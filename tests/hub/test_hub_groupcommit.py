"""The writing thread's end: whoever got a job in has it answered, everybody else is refused."""

import asyncio
import threading
import time

import pytest

from toastbox.errors import HubUnreachable
from toastbox.hub.groupcommit import GroupCommit
from toastbox.hub.service import HubService


def test_job_that_meets_the_end_is_answered(service: HubService, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the thread that waits for it would keep the hub from ending."""
    loop = asyncio.new_event_loop()
    running = threading.Thread(target=loop.run_forever)
    running.start()
    writer = GroupCommit(service, loop)
    put = writer._queue.put
    ending = threading.Thread(target=writer.stop)
    answers: list[str] = []

    class Late:
        """Is put in only after somebody else has had time to end it all."""

        get = writer._queue.get

        @staticmethod
        def put(job: object) -> None:
            if job is not None:
                ending.start()
                time.sleep(0.2)
            put(job)  # type: ignore[arg-type]

    monkeypatch.setattr(writer, "_queue", Late)
    caller = threading.Thread(target=lambda: answers.append(writer.call(lambda: "done")), daemon=True)
    caller.start()
    caller.join(10)
    ending.join(10)
    assert answers == ["done"] and not ending.is_alive()
    with pytest.raises(HubUnreachable):
        writer.call(lambda: "too late")
    loop.call_soon_threadsafe(loop.stop)
    running.join(10)
    loop.close()
