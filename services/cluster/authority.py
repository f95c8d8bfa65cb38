"""The cluster's own certificate authority: one certificate a host, for every service on it."""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from spark_jobs.errors import TerminalError

_AUTHORITY_DAYS, _HOST_DAYS, _RENEW_DAYS = 3650, 825, 60
_NAME = "Databank cluster"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a certificate is shown: a host's name and its address."""

    host: str
    address: str


def ensure(folder: Path, wanted: Mapping[str, Place]) -> None:
    """Keys and certificates in `folder`; made where missing, for another address, or soon to end.

    `wanted` maps the name that a certificate is about, its common name, to the place that it is valid for. A customer's
    own authority is used where its `ca.crt` lies in the folder without a `ca.key`: then each pair must lie there too.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if (folder / "ca.crt").exists() and not (folder / "ca.key").exists():
        missing = [name for name in wanted if not (folder / f"{name}.crt").exists()]
        if missing:
            raise TerminalError(
                f"{folder} holds a foreign authority's ca.crt and no certificate for {', '.join(missing)}; "
                "put NAME.crt and NAME.key there"
            )
        return
    authority, key = _authority(folder)
    for name, place in wanted.items():
        if not _is_good(folder / f"{name}.crt", place):
            _issue(folder, name, place, authority=authority, key=key)


def discard(folder: Path) -> None:
    """Forget the certificates of all hosts, so that `ensure` makes new ones; the authority stays.

    TerminalError where the authority is a customer's: then new pairs are put there by hand.
    """
    if not (folder / "ca.key").exists():
        raise TerminalError(f"{folder} has a foreign authority's certificates; put new NAME.crt and NAME.key there")
    for path in folder.glob("*.crt"):
        if path.name != "ca.crt":
            path.unlink()


def _authority(folder: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    certificate_file, key_file = folder / "ca.crt", folder / "ca.key"
    if key_file.exists():
        loaded = serialization.load_pem_private_key(key_file.read_bytes(), None)
        if not isinstance(loaded, ec.EllipticCurvePrivateKey):
            raise TerminalError(f"{key_file} is no elliptic-curve key; bring back the one that was made here")
        return x509.load_pem_x509_certificate(certificate_file.read_bytes()), loaded
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _NAME)])
    builder = _builder(name, name, key.public_key(), _AUTHORITY_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    certificate = builder.sign(key, hashes.SHA256())
    _write(key_file, _pem(key), 0o600)
    _write(certificate_file, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
    return certificate, key


def _issue(
    folder: Path, name: str, place: Place, *, authority: x509.Certificate, key: ec.EllipticCurvePrivateKey
) -> None:
    own = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    address = x509.IPAddress(ipaddress.ip_address(place.address))
    names = [x509.DNSName(place.host), address, x509.DNSName("localhost")]
    builder = _builder(subject, authority.subject, own.public_key(), _HOST_DAYS)
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
    # Python from 3.13 on refuses a certificate that does not name its authority's key.
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    builder = builder.add_extension(issuer, critical=False)
    usages = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    certificate = builder.add_extension(usages, critical=False).sign(key, hashes.SHA256())
    _write(folder / f"{name}.key", _pem(own), 0o600)
    _write(folder / f"{name}.crt", certificate.public_bytes(serialization.Encoding.PEM), 0o644)


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(issuer, subject, public, x509.random_serial_number())
    # Hosts' clocks may be behind this one's by minutes.
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    return builder.not_valid_before(now - dt.timedelta(hours=1)).not_valid_after(now + dt.timedelta(days))


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _is_good(path: Path, place: Place) -> bool:
    if not path.exists():
        return False
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    named = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    left = certificate.not_valid_after_utc - dt.datetime.now(dt.UTC)
    addresses = named.get_values_for_type(x509.IPAddress)
    return ipaddress.ip_address(place.address) in addresses and left.days > _RENEW_DAYS


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    # PKCS #8 is what Kafka's and Trino's PEM readers take.
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, content: bytes, mode: int) -> None:
    partial = path.with_name(f"{path.name}.partial")
    partial.touch(mode=mode)
    partial.write_bytes(content)
    partial.rename(path)
