"""The hub's certificate authority: one EC P-256 certificate that is pinned whole, and one for each device.

The hub's certificate is self-signed, serves TLS and signs the devices' certificates, by which peers on the
LAN prove that they belong (docs/SPEC.md, section 6). It starts in 1970, because boards without a clock live
then, and no name is checked: a device compares the whole certificate.
"""

import contextlib
import datetime
import os
import ssl
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from toastbox.errors import SafetyRefused

_START = datetime.datetime(1970, 1, 2)
_NOT_BEFORE_THIS = datetime.datetime(2026, 1, 1)  # a hub that has lost its clock signs as if it were now
_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME: this hub may not know the time either
_LIFE = datetime.timedelta(days=20 * 366)


class Authority:
    """The hub's key and certificate. certificate_pem: what devices pin; fingerprint: SHA-256 of its DER."""

    def __init__(self, certificate_pem: bytes, key_pem: bytes) -> None:
        self._certificate = x509.load_pem_x509_certificate(certificate_pem)
        key = serialization.load_pem_private_key(key_pem, None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError("the hub's key is not an elliptic curve key")
        self._key = key
        self.certificate_pem = certificate_pem
        self.fingerprint = sha256(self._certificate.public_bytes(serialization.Encoding.DER)).digest()

    def issue(self, device: int, folder: bytes) -> tuple[bytes, bytes]:
        """(certificate, private key), both PEM, for a device of a folder."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name(
            [
                x509.NameAttribute(NameOID.COMMON_NAME, str(device)),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, folder.hex()),
            ]
        )
        builder = _builder(name, self._certificate.subject, key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(signs=False), critical=True)
        builder = builder.add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]),
            critical=False,
        )
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = builder.add_extension(issuer, critical=False).sign(self._key, hashes.SHA256())
        return certificate.public_bytes(serialization.Encoding.PEM), _private_pem(key)


def open_authority(folder: str) -> Authority:
    """The authority kept in folder as hub.crt and hub.key; made there the first time, before anything else.

    SafetyRefused: it is gone or damaged. Another would be made in vain: devices know this one only.
    """
    certificate_path, key_path = authority_paths(folder)
    is_new = not any(os.path.exists(os.path.join(folder, name)) for name in ("journal.db", "head"))
    if is_new and not os.path.exists(certificate_path):
        certificate_pem, key_pem = _make_authority()
        write_private(key_path, key_pem)
        write_private(certificate_path, certificate_pem)
    try:
        with open(certificate_path, "rb") as certificate, open(key_path, "rb") as key:
            return Authority(certificate.read(), key.read())
    except (FileNotFoundError, ValueError) as error:
        raise SafetyRefused(
            "hub.crt or hub.key, by which devices know this hub, is gone or damaged: put both back from a backup"
        ) from error


def authority_paths(folder: str) -> tuple[str, str]:
    """(certificate, key) files of the hub whose data are in folder."""
    return os.path.join(folder, "hub.crt"), os.path.join(folder, "hub.key")


def server_context(folder: str) -> ssl.SSLContext:
    """TLS 1.2 or later with the hub's certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(*authority_paths(folder))
    return context


def webhook_context(certificate_pem: bytes) -> ssl.SSLContext:
    """For posts to devices: any certificate that this hub has signed, whatever the host's name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_flags |= _NO_CHECK_TIME
    context.load_verify_locations(cadata=certificate_pem.decode("ascii"))
    return context


def write_private(path: str, data: bytes) -> None:
    """Write a new file, or replace one, durably and all at once; nobody else can read it at any moment."""
    temporary = path + ".new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(fd)
    os.rename(temporary, path)


def _make_authority() -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "toastbox hub")])
    builder = _builder(name, name, key.public_key())
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    certificate = builder.add_extension(_usage(signs=True), critical=True).sign(key, hashes.SHA256())
    return certificate.public_bytes(serialization.Encoding.PEM), _private_pem(key)


def _builder(name: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(issuer).public_key(public_key)
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(_START).not_valid_after(max(now, _NOT_BEFORE_THIS) + _LIFE)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)


def _usage(signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
