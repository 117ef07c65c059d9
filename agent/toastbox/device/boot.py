"""Which start of the machine this is. Imports nothing: the console, which only waits, asks too."""

BOOT_ID = "/proc/sys/kernel/random/boot_id"


def boot_id() -> str:
    """What is another word after each start of the machine. Raises OSError."""
    with open(BOOT_ID, encoding="ascii") as file:
        return file.read().strip()
