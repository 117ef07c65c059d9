"""Putting MicroPython and the program on microcontrollers."""
