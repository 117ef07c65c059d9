"""A hub and the certificates it signs (docs/SPEC.md, section 6), valid in 1970 only, to prove a point."""

import datetime
import ssl
import tempfile
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from toastbox.device.interfaces import Credentials

FOLDER = "0123456789abcdef" * 2
EPOCH_START = datetime.datetime(1970, 1, 1)


class Authority:
    """A hub's key and certificate."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Toastbox hub")])
        self._certificate = self._build(self._name, self._key, authority=True)
        self.pem = self._certificate.public_bytes(serialization.Encoding.PEM).decode()
        self.der = self._certificate.public_bytes(serialization.Encoding.DER)

    def issue(self, number: int, folder: str = FOLDER) -> tuple[str, str]:
        """(certificate, private key) of a device, PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = [
            x509.NameAttribute(NameOID.COMMON_NAME, str(number)),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, folder),
        ]
        certificate = self._build(x509.Name(subject), key, authority=False)
        return certificate.public_bytes(serialization.Encoding.PEM).decode(), _pem(key)

    def credentials(self, url: str, number: int = 7, folder: str = FOLDER) -> Credentials:
        certificate, key = self.issue(number, folder)
        name = f"device {number}"
        return Credentials(url, number, name, folder, "folder", "ab" * 32, self.pem, certificate, key)

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(self.pem + _pem(self._key))
            file.flush()
            context.load_cert_chain(file.name)
        return context

    def _build(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, authority: bool) -> x509.Certificate:
        builder = x509.CertificateBuilder(self._name, subject, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(EPOCH_START)
        builder = builder.not_valid_after(EPOCH_START + datetime.timedelta(days=1))
        builder = builder.add_extension(x509.BasicConstraints(authority, None), critical=True)
        return builder.sign(self._key, hashes.SHA256())


def _pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


@cache
def authority() -> Authority:
    """The hub of most tests."""
    return Authority()


@cache
def other_authority() -> Authority:
    """Somebody else's hub."""
    return Authority()
