"""The server's half of a DTLS handshake and the SRTP keys that come of it (RFC 5764). Owns no socket.

A browser that offers `actpass` lets the other side begin the handshake; so does the load test.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass

import pylibsrtp
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL

MTU_BYTES = 1200
KEY_LABEL = b"EXTRACTOR-dtls_srtp"


@dataclass(frozen=True, slots=True)
class _Profile:
    name: bytes
    number: int
    key_bytes: int
    salt_bytes: int


_PROFILES = (
    _Profile(b"SRTP_AEAD_AES_128_GCM", pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 16, 12),
    _Profile(b"SRTP_AES128_CM_SHA1_80", pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 16, 14),
)


class Identity:
    """One certificate for everybody whom the load test plays. fingerprint: of SHA-256, as SDP writes it."""

    def __init__(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "load test")])
        now = datetime.datetime.now(datetime.UTC)
        day = datetime.timedelta(days=1)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - day)
            .not_valid_after(now + day)
            .sign(key, hashes.SHA256())
        )
        self.fingerprint = certificate.fingerprint(hashes.SHA256()).hex(":").upper()
        self.context = SSL.Context(SSL.DTLS_METHOD)
        self.context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _take_any)
        self.context.use_certificate(certificate)
        self.context.use_privatekey(key)
        self.context.set_tlsext_use_srtp(b":".join(profile.name for profile in _PROFILES))


def _take_any(*_: object) -> bool:
    return True  # certificates are self-signed; the fingerprint in the SDP says whose it is


class Handshake:
    """Feed it datagrams, send what it returns. done: the keys are there."""

    def __init__(self, identity: Identity, fingerprint: str) -> None:
        """fingerprint: SHA-256 of the other side's certificate, as its SDP says."""
        self._fingerprint = fingerprint.upper()
        self._ssl = SSL.Connection(identity.context, None)
        self._ssl.set_ciphertext_mtu(MTU_BYTES)
        self._ssl.set_accept_state()
        self.done = False

    def receive(self, datagram: bytes) -> list[bytes]:
        """Return the datagrams to send. Raises ConnectionError if the handshake failed."""
        self._ssl.bio_write(datagram)
        try:
            if self.done:
                self._ssl.recv(MTU_BYTES)
            else:
                self._ssl.do_handshake()
                self._check_certificate()
                self.done = True
        except SSL.WantReadError:
            pass
        except SSL.Error as error:
            raise ConnectionError("the DTLS handshake failed") from error
        return self._outgoing()

    def repeat(self) -> list[bytes]:
        """Return what has to be sent again, because nothing came."""
        if not self.done:
            self._ssl.DTLSv1_handle_timeout()
        return self._outgoing()

    def sessions(self) -> tuple[pylibsrtp.Session, pylibsrtp.Session]:
        """Return the SRTP sessions for what is sent and for what is received."""
        chosen = self._ssl.get_selected_srtp_profile()
        profile = next((profile for profile in _PROFILES if profile.name == chosen), None)
        if profile is None:
            raise ConnectionError("no SRTP profile in common")
        size, salt = profile.key_bytes, profile.salt_bytes
        material = self._ssl.export_keying_material(KEY_LABEL, 2 * (size + salt))
        theirs = material[:size] + material[2 * size : 2 * size + salt]
        ours = material[size : 2 * size] + material[2 * size + salt :]
        sending = pylibsrtp.Policy(ours, pylibsrtp.Policy.SSRC_ANY_OUTBOUND, srtp_profile=profile.number)
        sending.window_size = 1024
        receiving = pylibsrtp.Policy(theirs, pylibsrtp.Policy.SSRC_ANY_INBOUND, srtp_profile=profile.number)
        receiving.window_size = 1024
        return pylibsrtp.Session(sending), pylibsrtp.Session(receiving)

    def _check_certificate(self) -> None:
        certificate = self._ssl.get_peer_certificate(as_cryptography=True)
        if certificate is None or certificate.fingerprint(hashes.SHA256()).hex(":").upper() != self._fingerprint:
            raise ConnectionError("the certificate is not the one that was announced")

    def _outgoing(self) -> list[bytes]:
        datagrams = []
        while True:
            try:
                datagrams.append(self._ssl.bio_read(MTU_BYTES + 300))
            except SSL.WantReadError:
                return datagrams
