"""What the hub asks of any journal: rows in, rows out, one flush that makes them durable.

Two faces, because two kinds of thread use them. The writing face belongs to one thread (hub/groupcommit.py):
it sees its own rows before they are durable. The reading face may be used by any thread: it sees flushed
rows only, so nothing that a power cut could take back is ever told to a device.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol


class Row(NamedTuple):
    """One journal entry. key, content: docs/SPEC.md section 1; parent: the seq this row replaced, 0 for none.

    pieces: number of chunks of a file (0, 1 or more: then a chunk list is stored under its content id).
    time_s: the hub's clock when the row was made; used for retention and shown, never to decide.
    """

    seq: int
    key: bytes
    kind: int
    flags: int
    parent: int
    mtime_ns: int
    size: int
    device: int
    time_s: int
    pieces: int
    content: bytes


class Folder(NamedTuple):
    """A folder of the hub. ident: 16 random bytes, its name on the wire; peers: changes of its devices."""

    number: int
    ident: bytes
    name: str
    head: int
    live: int
    peers: int


class Device(NamedTuple):
    """A paired device. key: 32 bytes; hook: where to post heads (JSON of hub/push.py) or "".

    plain: whether it may ask without TLS; counter: none that it used so is higher (hub/plain.py).
    """

    number: int
    folder: int
    name: str
    key: bytes
    created_s: int
    revoked: bool
    hook: str
    plain: bool = False
    counter: int = 0


class Invite(NamedTuple):
    """A pairing code that was given out. secret: SHA-256 of it; answer: what its first use was told.

    plain: 1 when it may be used without TLS.
    """

    secret: bytes
    folder: int
    expires_s: int
    key: bytes
    answer: str
    plain: int = 0


class JournalWriter(Protocol):
    """Used by one thread at a time. Nothing is durable, or seen by readers, before flush()."""

    def state(self, folder: int) -> tuple[int, int]:
        """Head seq and number of live entries, unflushed rows included."""

    def current(self, folder: int, key: bytes) -> tuple[int, int] | None:
        """Seq and kind of what key holds now, deletions included; None: never in the journal."""

    def expect(self, folder: int, keys: Sequence[bytes]) -> None:
        """current() will be asked for these keys: look them up at once. For speed only."""

    def row(self, folder: int, seq: int) -> Row | None:
        """The row with that seq, unless pruned."""

    def live_below(self, folder: int, key: bytes) -> bool:
        """Whether the folder at key has live entries."""

    def append(self, folder: int, row: Row) -> int:
        """Append row (its seq is ignored) as the current one of its key; return its seq."""

    def clear_pair(self, folder: int, seq: int) -> None:
        """Take back the PAIR flag of an unflushed row whose partner was refused."""

    def put_list(self, folder: int, content: bytes, chunks: bytes) -> None:
        """Keep a chunk list under its content id; again is fine."""

    def chunk_list(self, folder: int, content: bytes) -> bytes | None:
        """The chunk list kept under content, or None."""

    def drop_versions(self, folder: int, seqs: Iterable[int]) -> int:
        """Remove superseded rows and the lists only they used; return how many went. Current rows stay."""

    def flush(self) -> None:
        """Make everything durable, then visible. Raises DeviceFull, DeviceFailing: call rollback()."""

    def rollback(self) -> None:
        """Forget everything since the last flush."""


class JournalReader(Protocol):
    """Usable from any thread."""

    def epoch(self) -> int:
        """The epoch of this journal."""

    def read_folder(self, folder: int) -> Folder:
        """One folder with its durable head."""

    def read_pull(self, folder: int, after: int, limit: int, deletions: bool) -> tuple[int, list[Row]]:
        """Head, and up to limit current rows with seq above after in order of seq, from one snapshot.

        deletions: whether those that are deleted are among them.
        """

    def read_row(self, folder: int, seq: int) -> Row | None:
        """The row with that seq, or None."""

    def read_current(self, folder: int, key: bytes) -> Row | None:
        """The current row of key, or None."""

    def read_log(self, folder: int, before: int, limit: int) -> list[Row]:
        """Up to limit rows with seq below before, newest first."""

    def read_list(self, folder: int, content: bytes) -> bytes | None:
        """The chunk list kept under content, or None."""

    def read_paths(self, folder: int, after: bytes, limit: int) -> list[Row]:
        """Up to limit current rows with key above after, in order of key."""

    def read_contents(self, folder: int, after: int, limit: int) -> list[Row]:
        """Up to limit rows of files with content, seq above after, in order of seq."""


class Registry(Protocol):
    """Folders, devices and invites. Changes are made by the writing thread and are durable after flush()."""

    def folders(self) -> list[Folder]: ...

    def devices(self, folder: int | None = None) -> Iterator[Device]: ...

    def device(self, number: int) -> Device | None: ...

    def add_folder(self, name: str, ident: bytes) -> None: ...

    def add_device(self, device: Device) -> int:
        """Keep a device under a new number (the one given is ignored); its name must be free."""

    def name_taken(self, folder: int, name: str) -> bool: ...

    def set_revoked(self, number: int) -> None: ...

    def set_hook(self, number: int, hook: str) -> None: ...

    def set_plain(self, number: int, allowed: bool) -> None: ...

    def raise_counter(self, number: int, ceiling: int) -> None:
        """It never sinks."""

    def put_invite(self, invite: Invite) -> None: ...

    def invite(self, secret: bytes) -> Invite | None: ...

    def plain_invites(self) -> list[Invite]:
        """Those that may be used without TLS."""

    def drop_invites(self, now_s: int) -> None:
        """Forget invites that have expired."""


class Journal(JournalWriter, JournalReader, Registry, Protocol):
    """All of it, kept in one database so that one flush covers all."""

    def new_epoch(self, heads: dict[bytes, int]) -> None:
        """Start a new epoch; heads (by folder ident): seqs known to be used, never to be given again."""

    def close(self) -> None:
        """Give back files; unflushed rows are lost."""
