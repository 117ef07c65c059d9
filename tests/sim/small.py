"""The sizes that make batches, pages and chunks, made small: so that a folder of twenty small files has all of them."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from unittest import mock

from toastbox.device import ahead, answers, folder, folder_sums, publish, pull, push, reading, receive, send, unsettled

CHUNKS = (64, 512, 1024)  # least, average, most
AHEAD_BYTES = 20_000
WINDOW = 2 * CHUNKS[2] + 100
SIZES = (
    (folder, {"SEEN_AT_ONCE": 3}),
    (folder_sums, {"AT_ONCE": 3, "MOST_WAITING": 2}),
    (ahead, {"MOST_FILES": 2, "RESERVE_BYTES": 1000, "WRITE_BACK_BYTES": 500, "SLICE_BYTES": (600, 3000)}),
    (pull, {"PAGE_ENTRIES": 5, "PAGE_BYTES": 4096}),
    (publish, {"FEW": 1, "MANY_INTENTS": 8, "TOGETHER": 3}),
    (answers, {"TOGETHER": 3, "MANY_UNSETTLED": 6, "MOST_UNSETTLED": 9}),
    (push, {"MANY_GONE": 4, "LARGE": 2 * CHUNKS[2], "SMALL": CHUNKS[1], "MANY_SMALL": 3}),
    (reading, {"CHUNK_MIN": CHUNKS[0], "CHUNK_AVERAGE": CHUNKS[1], "CHUNK_MAX": CHUNKS[2]}),
    (unsettled, {"MOST": 5}),
    (receive, {"CHUNK_MAX": CHUNKS[2], "ZERO_CHUNK": sha256(bytes(CHUNKS[2])).digest()}),
    (receive, {"SMALL_BYTES": CHUNKS[1], "TOGETHER_BYTES": 900}),
    (receive, {"RESUMABLE_BYTES": 2000, "OPEN_TARGETS": 2, "SEGMENT_CHUNKS": 4}),
    (
        send,
        {
            "CHUNK_MIN": CHUNKS[0],
            "CHUNK_AVERAGE": CHUNKS[1],
            "CHUNK_MAX": CHUNKS[2],
            "SMALL": CHUNKS[1],
            "BATCH_ENTRIES": 4,
            "UNASKED_BYTES": 200,
            "AHEAD_BYTES": 2200,
        },
    ),
)


@contextmanager
def small_sizes() -> Iterator[None]:
    """While this lasts, the device's modules work with small sizes."""
    with ExitStack() as stack:
        for module, values in SIZES:
            stack.enter_context(mock.patch.multiple(module, **values))
        yield
