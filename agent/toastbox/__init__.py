"""Toastbox: one folder in sync on every device you own, down to the toaster."""

__version__ = "0.1.0"
