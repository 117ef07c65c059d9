"""The boot loader in an ESP32's ROM, as far as esptool asks it, on a serial line; then the program that it was given.

Espressif's serial protocol: frames between 0xC0 (RFC 1055), a request is 0, op, size, checksum and data, an answer 1,
op, size, value, and data with four bytes of status at its end. What is written is kept by its address.
"""

import hashlib
import os
import select
import struct
import threading
import zlib
from collections.abc import Callable

END, ESCAPE = 0xC0, 0xDB
FLASH_BEGIN, FLASH_DATA, MEM_END, SYNC, READ_REG, SECURITY_INFO = 0x02, 0x03, 0x06, 0x08, 0x0A, 0x14
DEFLATE_BEGIN, DEFLATE_DATA, DEFLATE_END, MD5 = 0x10, 0x11, 0x12, 0x13
FAILED = b"\x01\x05\x00\x00"
MAGIC = {0x40001000: 0x00F01D83, 0x3FF42080: 0x001640EF}  # what says ESP32; the flash chip's number
ROM_SYNC = 0x20120707


class FakeEsp:
    """line: our end. flash: bytes by address. ops: what was asked for, in order. bad: op that fails.

    then(): called once what was written has been compared and nobody speaks for a while.
    """

    def __init__(self, line: int, then: Callable[[], None], bad: int = -1) -> None:
        self.line = line
        self.flash: dict[int, bytes] = {}
        self.ops: list[int] = []
        self._bad = bad
        self._then = then
        self._packed = zlib.decompressobj()
        self._address = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        frame: bytearray | None = None
        while not self._stop.is_set():
            if not select.select([self.line], [], [], 0.05)[0]:
                if MD5 in self.ops:
                    self._then()
                    return
                continue
            for byte in os.read(self.line, 4096):
                if byte != END:
                    if frame is not None:
                        frame.append(byte)
                elif frame:
                    self._take(bytes(frame).replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb"))
                    frame = None
                else:
                    frame = bytearray()

    def _take(self, frame: bytes) -> None:
        _, op, _, _ = struct.unpack_from("<BBHI", frame)
        data = frame[8:]
        self.ops.append(op)
        if op in (self._bad, SECURITY_INFO):
            self._answer(op, 0, FAILED)
        elif op == SYNC:
            for _ in range(8):
                self._answer(op, ROM_SYNC)
        elif op == READ_REG:
            self._answer(op, MAGIC.get(struct.unpack("<I", data)[0], 0))
        elif op == MD5:
            address, size = struct.unpack_from("<II", data)
            self._answer(op, 0, hashlib.md5(self.flash[address][:size]).digest() + bytes(4))
        else:
            self._write(op, data)
            self._answer(op, 0)
        if op == MEM_END:
            self._send(b"OHAI")

    def _write(self, op: int, data: bytes) -> None:
        if op in (DEFLATE_BEGIN, FLASH_BEGIN):
            self._address = struct.unpack_from("<IIII", data)[3]
            self.flash[self._address] = b""
            self._packed = zlib.decompressobj()
        elif op == DEFLATE_DATA:
            self.flash[self._address] += self._packed.decompress(data[16:])
        elif op == FLASH_DATA:
            self.flash[self._address] += data[16:]

    def _answer(self, op: int, value: int, data: bytes = bytes(4)) -> None:
        self._send(struct.pack("<BBHI", 1, op, len(data), value) + data)

    def _send(self, frame: bytes) -> None:
        os.write(self.line, b"\xc0" + frame.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc") + b"\xc0")
