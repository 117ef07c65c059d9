"""The C core as a meter sees it: the library that modules call by `lib`, and the bytes that a call went through."""

from collections.abc import Callable

from toastbox._native import ffi, lib

LIBRARY = lib
SIZES: dict[str, Callable[..., int]] = {
    "tbx_chunker_scan": lambda chunker, data, size, used: int(used[0]),  # it stops at a cut; the rest is offered again
    "tbx_chunker_cuts": lambda chunker, data, size, ends, capacity, used: int(used[0]),
    "tbx_digest_chunks": lambda digester, out, data, ends, count: int(ends[count - 1]) if count else 0,
    "tbx_file_make": lambda out, fd, name, data, size, *rest: int(size),
    "tbx_files_make": lambda out, files, count, *rest: sum(files[at].size for at in range(count)),
    "tbx_files_take": lambda out, count, *rest: sum(out[at].size for at in range(count)),
    "tbx_listing_scan": lambda listing, *rest: int(listing.used),
    "tbx_folders_sum": lambda out, count, *rest: sum(out[at].count for at in range(count)) * ffi.sizeof("tbx_record"),
}
