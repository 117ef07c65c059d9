"""TLS as this project uses it: certificates are pinned, dates are not looked at.

A board without a battery believes it is 1970, so a certificate's dates say nothing. What does:

    device -> hub     the hub's certificate is byte for byte the one got at pairing; at pairing itself, the
                      first 128 bits of its SHA-256 are those of the code. Checked after the handshake (which
                      proves that the other side has the key) and before the first byte is sent. No chain, no
                      host name.
    device <-> peer   both show a certificate signed by the hub's. Its subject names device (CN) and folder
                      (O); who has been revoked is asked of the hub. OpenSSL checks the signatures, without
                      dates.

A pin is compared with what OpenSSL parsed, not with what was configured: a half-given setting cannot switch
it off.
"""

import hashlib
import hmac
import os
import ssl
from collections.abc import Mapping

from toastbox.device.interfaces import Credentials
from toastbox.errors import HostilePeer

FINGERPRINT_SIZE = 16  # bytes of a SHA-256 that the pairing code carries
NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME, which the ssl module has no name for
MAX_DEVICE = 2**32 - 1


class Pin:
    """The one certificate a connection may meet: whole (DER) or by the first 128 bits of its SHA-256."""

    __slots__ = ("_certificate", "_fingerprint")

    def __init__(self, certificate: bytes = b"", fingerprint: bytes = b"") -> None:
        if not certificate and len(fingerprint) != FINGERPRINT_SIZE:
            raise ValueError("a pin is a certificate or 16 bytes of its hash")
        self._certificate = certificate
        self._fingerprint = fingerprint

    def matches(self, certificate: bytes) -> bool:
        if self._certificate:
            return hmac.compare_digest(certificate, self._certificate)
        return hmac.compare_digest(hashlib.sha256(certificate).digest()[:FINGERPRINT_SIZE], self._fingerprint)


def certificate_bytes(pem: str) -> bytes:
    """DER of the PEM certificate. HostilePeer: it is none."""
    try:
        return ssl.PEM_cert_to_DER_cert(pem.strip())
    except ValueError as error:
        raise HostilePeer(f"the hub sent no certificate to pin ({error})") from error


def hub_context() -> ssl.SSLContext:
    """For connections to the hub. It verifies nothing by itself: `check_pin` must follow."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def check_pin(secured: ssl.SSLSocket, pin: Pin) -> None:
    """After the handshake, before the first byte. HostilePeer: the certificate is not the pinned one."""
    certificate = secured.getpeercert(binary_form=True)
    if certificate is None or not pin.matches(certificate):
        raise HostilePeer("the certificate is not the paired hub's: is this another server's address?")


def peer_context(credentials: Credentials, *, server: bool) -> ssl.SSLContext:
    """For connections between devices of one hub: both sides must show a certificate the hub signed.

    As a server it also lets in who shows none, for the hub's own posts; what they may ask is the request's
    matter.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_OPTIONAL if server else ssl.CERT_REQUIRED
    context.verify_flags |= NO_CHECK_TIME
    context.load_verify_locations(cadata=credentials.ca)
    _load_identity(context, credentials)
    return context


def _load_identity(context: ssl.SSLContext, credentials: Credentials) -> None:
    """load_cert_chain reads files only; an anonymous one keeps the key off the disk."""
    fd = os.memfd_create("identity", os.MFD_CLOEXEC)
    try:
        os.write(fd, f"{credentials.certificate}\n{credentials.private_key}\n".encode())
        context.load_cert_chain(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)


def member_number(certificate: Mapping[str, object] | None, folder: str) -> int:
    """Device number of a certificate that TLS has verified (as getpeercert() gives it).

    HostilePeer: none was shown, or it is for another folder, or its subject is not one the hub gives.
    """
    names: dict[str, list[str]] = {}
    subject = (certificate or {}).get("subject", ())
    for part in subject if isinstance(subject, tuple) else ():
        for name, value in part:
            names.setdefault(name, []).append(value)
    number = names.get("commonName", [""])
    if names.get("organizationName") != [folder] or len(number) != 1:
        raise HostilePeer("the other side does not belong to this folder")
    if not (number[0].isascii() and number[0].isdecimal() and 0 < int(number[0][:11]) <= MAX_DEVICE):
        raise HostilePeer("the other side's certificate names no device")
    return int(number[0][:11])
