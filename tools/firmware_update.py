"""Packs the program into an update that boards take out of their synced folder (docs/SPEC.md, section 14).

python tools/firmware_update.py KEY OUT [FROM]

KEY: the owner's private key (PEM, RSA), made when it is not there. Guard it: who has it can run programs on the boards.
Beside it KEY.board is written, which boards have as conf/update.key.
OUT: to be put into the folder as firmware/toaster.tbu. FROM: what `make firmware` laid out (build/firmware).
"""

import os
import struct
import sys
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

MPY_VERSION = 6
KEY_BITS = 3072


def open_key(path: Path) -> rsa.RSAPrivateKey:
    """The key in a file, which is made when it is not there."""
    if not path.exists():
        made = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
        form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(made.private_bytes(serialization.Encoding.PEM, form, plain))
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, rsa.RSAPrivateKey) or key.public_key().public_numbers().e != 65537:
        raise ValueError(f"{path} is no RSA key with the exponent 65537")
    return key


def modulus(key: rsa.RSAPrivateKey) -> bytes:
    """What a board keeps in conf/update.key."""
    return key.public_key().public_numbers().n.to_bytes(key.key_size // 8, "big")


def pack(key: rsa.RSAPrivateKey, files: dict[str, bytes], version: int) -> bytes:
    """An update. files: compiled modules by name, as toaster/engine.mpy."""
    items = [
        struct.pack("<I32sB", len(data), sha256(data).digest(), len(name)) + name.encode()
        for name, data in files.items()
    ]
    index = b"".join(items)
    signed = b"TBU1" + struct.pack("<IHHI", version, MPY_VERSION, len(files), len(index)) + index
    return signed + key.sign(signed, padding.PKCS1v15(), hashes.SHA256()) + b"".join(files.values())


def read_program(place: Path) -> tuple[dict[str, bytes], int]:
    """(modules, version) of a slot."""
    names = sorted(path.relative_to(place) for path in place.rglob("*.mpy"))
    return {str(name): (place / name).read_bytes() for name in names}, int((place / "version").read_text())


def main() -> int:
    files, version = read_program(Path(sys.argv[3] if len(sys.argv) > 3 else "build/firmware") / "app/a")
    key = open_key(Path(sys.argv[1]))
    Path(f"{sys.argv[1]}.board").write_bytes(modulus(key))
    update = pack(key, files, version)
    Path(sys.argv[2]).write_bytes(update)
    print(f"{sys.argv[2]}: version {version}, {len(files)} modules, {len(update)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
