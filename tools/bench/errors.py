"""What can go wrong in a benchmark, by whose fault."""


class BenchError(Exception):
    """Base of all errors that end a measurement with one line instead of a traceback."""


class MissingPeer(BenchError):
    """A program to compare with is not installed."""


class ProgramFailed(BenchError):
    """A program under test ended, refused or did not answer."""


class NotEqual(BenchError):
    """The two sides did not become equal in time, or hold different contents."""
