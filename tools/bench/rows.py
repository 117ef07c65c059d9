"""The rows of the table: what is measured, its bar, and how ours is judged."""

from dataclasses import dataclass

from tools.bench.figures import Figures

MEGA = 1e6


@dataclass(frozen=True)
class Row:
    """One line. limit: the bar in the figure's own unit, or a share of the peer's if `of_peer`; None: no bar.

    unit_size: what one printed unit is in the figure's unit. at_least: higher is better. peer: Syncthing, which alone
    does the same job, where nothing else is said.
    """

    label: str
    figure: str
    limit: float | None
    unit: str = ""
    unit_size: float = 1.0
    of_peer: bool = False
    at_least: bool = False
    peer: str = "syncthing"

    def bar(self, peer: float | None) -> float | None:
        """The bar in the figure's unit; None when it hangs on a peer that was not measured."""
        if not self.of_peer or self.limit is None:
            return self.limit
        return None if peer is None else self.limit * peer

    def verdict(self, ours: float | None, peer: float | None) -> str:
        """ "pass", "MISS", or "-" when there is nothing to judge or to judge by."""
        bar = self.bar(peer)
        if ours is None or bar is None:
            return "-"
        reached = ours >= bar if self.at_least else ours <= bar
        return "pass" if reached else "MISS"


ROWS = (
    Row("20,000 files A -> hub -> B, wall", "tree_wall_s", 1 / 3, "s", of_peer=True),
    Row("new 2 kB file on B, p50", "latency_p50_ms", 60, "ms"),
    Row("new 2 kB file on B, p95", "latency_p95_ms", 150, "ms"),
    Row("peak resident memory, larger agent", "peak_resident_bytes", 44 * MEGA, "MB", MEGA),
    Row("peak private memory, larger agent", "peak_private_bytes", 30 * MEGA, "MB", MEGA),
    Row("idle, busier agent: CPU", "idle_cpu_s", 0.02, "s"),
    Row("idle, busier agent: wake-ups", "idle_wakeups", 30),
    Row("idle, busier agent: bytes written", "idle_disk_bytes", 0),
    Row("10 minutes idle, busier agent: wake-ups a minute", "rest_wakeups_per_min", 2),
    Row("  bytes written", "rest_disk_bytes", 0),
    Row("  CPU", "rest_cpu_s", None, "s"),
    Row("  the hub: wake-ups a minute", "rest_hub_wakeups_per_min", 2),
    Row("  the hub: bytes written", "rest_hub_disk_bytes", 0),
    Row("written on B per byte of content", "tree_write_bytes_ratio", 1.3),
    Row("  the same, as passed to write()", "tree_wchar_ratio", None),
    Row("  the same, as reached the block device", "tree_disk_ratio", None),
    Row("1 byte inserted in the large file, larger leg", "insert_wire_bytes", 0.35 * MEGA, "MB", MEGA),
    Row("100 overwrites of 4 KiB, larger leg", "overwrite_wire_bytes", 12 * MEGA, "MB", MEGA),
    Row("the large file A -> hub -> B, wall", "large_wall_s", 1 / 2, "s", of_peer=True),
    Row("  beside a relay that only hashes, encrypts and writes", "large_wall_s", None, "s", peer="bare relay"),
    Row("  processor time of all programs", "large_cpu_s", None, "s", peer="bare relay"),
    Row(
        "Django 5.0.3 to an empty folder, larger leg", "django_first_wire_bytes", 1.1, "MB", MEGA, True, peer="rsync -z"
    ),
    Row("  5.0.4 after it", "django_second_wire_bytes", 1.0, "MB", MEGA, True, peer="rsync"),
    Row("  the first, over 10 Mbit/s, wall", "django_first_wall_s", None, "s", peer="rsync -z"),
    Row("  5.0.4, over 10 Mbit/s, wall", "django_second_wall_s", None, "s", peer="rsync -z"),
    Row("SymPy 1.12 to an empty folder, larger leg", "sympy_first_wire_bytes", 1.1, "MB", MEGA, True, peer="rsync -z"),
    Row("  1.12.1 after it", "sympy_second_wire_bytes", 1.0, "MB", MEGA, True, peer="rsync"),
    Row("chunk boundaries of random bytes", "chunk_bytes_per_s", None, "GB/s", 1e9),
    Row("  as many times pyfastcdc's", "chunk_times_pyfastcdc", 2.2, at_least=True),
    Row("4 GiB cut and hashed from the page cache", "hash_bytes_per_s", None, "GB/s", 1e9),
    Row("  as many times two openssl dgst side by side", "hash_times_openssl", 0.9, at_least=True),
    Row("  the same in processor time, whatever runs beside", "hash_cpu_times_openssl", None),
    Row("hub saves files, 1 a commit", "saves_1_per_s", 3000, "/s", at_least=True),
    Row("hub saves files, 16 a commit", "saves_16_per_s", 3000, "/s", at_least=True),
    Row("hub saves files, 256 a commit", "saves_256_per_s", 3000, "/s", at_least=True),
    Row("hub saves files, 8 clients, 256 a commit", "saves_8x256_per_s", 10_000, "/s", at_least=True),
)


def judge(row: Row, results: dict[str, Figures]) -> dict[str, object]:
    """One row as numbers, for JSON."""
    ours, peer = (results.get(name, {}).get(row.figure) for name in ("toastbox", row.peer))
    return {
        "what": row.label,
        "figure": row.figure,
        "bar": row.bar(peer),
        "toastbox": ours,
        row.peer: peer,
        "ratio": ours / peer if ours is not None and peer else None,
        "verdict": row.verdict(ours, peer),
    }
