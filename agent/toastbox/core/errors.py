"""What core raises: bytes that no honest peer sends. The edges turn it into toastbox.errors.HostilePeer."""


class WireError(ValueError):
    """A message, record, bundle or code breaks docs/SPEC.md. Nothing of it was used."""
