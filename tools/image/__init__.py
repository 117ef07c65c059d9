"""Bootable images from Debian packages: no loop device, no root, no script of a package run, same bytes every time."""
