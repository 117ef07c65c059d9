"""Toastbox on a microcontroller: the edges around core (docs/TOASTERS.md)."""
