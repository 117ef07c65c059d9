"""Toastbox on a microcontroller: the edges around core (docs/DESIGN.md, section 16)."""
