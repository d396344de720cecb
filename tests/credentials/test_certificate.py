"""A certificate proves an application: read from PEM or PFX, signed as asked, picked up when it changes."""

from __future__ import annotations

import datetime as dt
import logging
from base64 import b64decode, urlsafe_b64encode
from functools import cache
from typing import TYPE_CHECKING, Any

import httpx
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from recording import Recording

from entra_guard.credentials import CertificateCredential, TokenAcquisitionError
from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from outbound_office import Get, Office

    from entra_guard.emulator import Emulator

PASSWORD = "correct horse battery staple"


def credential(office: Office, *args: Any, **changes: Any) -> CertificateCredential:
    settings = {**office.settings, **changes}
    return CertificateCredential(office.entra.tenant_id, office.daemon.client_id, *args, **settings)


def private_key(pem: bytes) -> rsa.RSAPrivateKey:
    key = serialization.load_pem_private_key(pem, None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


def encrypted(pem: bytes) -> bytes:
    scheme = serialization.BestAvailableEncryption(PASSWORD.encode())
    return private_key(pem).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, scheme
    )


def pfx(made: Any, password: str | None = None) -> bytes:
    scheme: Any = serialization.NoEncryption()
    if password:
        scheme = serialization.BestAvailableEncryption(password.encode())
    certificate = x509.load_pem_x509_certificate(made.certificate)
    return pkcs12.serialize_key_and_certificates(b"daemon", private_key(made.key), certificate, None, scheme)


@pytest.fixture
def made(office: Office) -> Any:
    """A certificate that the application's registration knows."""
    return office.entra.new_certificate(office.daemon)


# --- forms -------------------------------------------------------------------------------------------


def test_every_form_of_certificate_gets_a_token(office: Office, get: Get, made: Any, tmp_path: Path) -> None:
    forms: dict[str, tuple[bytes, str | bytes | None]] = {
        "key first": (made.key + made.certificate, None),
        "certificate first": (made.certificate + made.key, None),
        "with a password": (encrypted(made.key) + made.certificate, PASSWORD),
        "pfx": (pfx(made), None),
        "pfx with a password": (pfx(made, PASSWORD), PASSWORD.encode()),
    }
    for name, (data, password) in forms.items():
        file = tmp_path / name
        file.write_bytes(data)
        assert get(credential(office, file, password=password), office.scope), name
        assert get(credential(office, certificate_data=data, password=password), office.scope), name


def test_the_token_says_that_a_certificate_proved_the_app(office: Office, get: Get, made: Any) -> None:
    token = get(credential(office, certificate_data=made.pem), office.scope)
    assert office.claims(token)["azpacr"] == "2"


# --- what is signed ----------------------------------------------------------------------------------


def assertions(office: Office, get: Get, made: Any, times: int = 1, **changes: Any) -> list[str]:
    recording = Recording(office.entra.transport)
    signing = credential(
        office, certificate_data=made.pem, http_client=httpx.Client(transport=recording), **changes
    )
    for _ in range(times):
        get(signing, office.scope)
        office.advance(7200)
    kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    assert {form["client_assertion_type"] for form in recording.forms} == {kind}
    return [form["client_assertion"] for form in recording.forms]


def thumbprint(made: Any, algorithm: Any) -> str:
    digest = x509.load_pem_x509_certificate(made.certificate).fingerprint(algorithm)
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


def test_it_is_signed_with_ps256_and_named_by_sha_256(office: Office, get: Get, made: Any) -> None:
    now = int(office.clock.now)
    [assertion] = assertions(office, get, made)
    expected = {"alg": "PS256", "typ": "JWT", "x5t#S256": thumbprint(made, hashes.SHA256())}
    assert jwt.get_unverified_header(assertion) == expected
    audience = f"{office.entra.url}/{office.entra.tenant_id}/oauth2/v2.0/token"
    key = private_key(made.key).public_key()
    claims = jwt.decode(assertion, key, ["PS256"], audience=audience, options={"verify_iat": False})
    assert claims["iss"] == claims["sub"] == office.daemon.client_id
    assert claims["iat"] == claims["nbf"] == now
    assert claims["exp"] == now + 600


def test_each_request_has_an_assertion_of_its_own(office: Office, get: Get, made: Any) -> None:
    options = {"verify_signature": False}
    ids = [jwt.decode(each, options=options)["jti"] for each in assertions(office, get, made, times=3)]
    assert len(set(ids)) == 3


def test_rs256_with_a_sha_1_thumbprint_on_request(office: Office, get: Get, made: Any) -> None:
    [assertion] = assertions(office, get, made, algorithm="RS256")
    expected = {"alg": "RS256", "typ": "JWT", "x5t": thumbprint(made, hashes.SHA1())}
    assert jwt.get_unverified_header(assertion) == expected


def test_the_certificates_are_sent_along_on_request(office: Office, get: Get, made: Any) -> None:
    [assertion] = assertions(office, get, made, send_certificate_chain=True)
    [first] = jwt.get_unverified_header(assertion)["x5c"]
    own = x509.load_pem_x509_certificate(made.certificate)
    assert x509.load_der_x509_certificate(b64decode(first)) == own


def test_the_chain_begins_with_the_certificate_of_the_key(office: Office, made: Any) -> None:
    above = self_signed(rsa_key())
    data = above + made.certificate + made.key
    found = credential(office, certificate_data=data)._loaded
    assert found.certificate == x509.load_pem_x509_certificate(made.certificate)
    assert found.above == (x509.load_pem_x509_certificate(above),)


# --- rotation ----------------------------------------------------------------------------------------


def test_a_changed_file_is_picked_up(office: Office, get: Get, made: Any, tmp_path: Path) -> None:
    file = made.write(tmp_path / "daemon.pem")
    rotated = credential(office, file)
    get(rotated, office.scope)
    new = replace_certificate(office.entra, office)
    file.write_bytes(new.pem)
    office.advance(7200)
    assert get(rotated, office.scope)


def test_a_file_that_does_not_change_is_read_once_more_at_the_most(
    office: Office, get: Get, made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from entra_guard.credentials import _certificate

    file = made.write(tmp_path / "daemon.pem")
    rotated, reads = credential(office, file), []
    read = _certificate.read_certificate
    monkeypatch.setattr(_certificate, "read_certificate", lambda *given: reads.append(1) or read(*given))
    file.write_bytes(made.pem + b"\n")
    for _ in range(3):
        get(rotated, office.scope)
        office.advance(7200)
    assert len(reads) == 1


def test_a_refusal_is_forgotten_when_the_file_changes(
    office: Office, get: Get, made: Any, tmp_path: Path
) -> None:
    file = made.write(tmp_path / "daemon.pem")
    new = replace_certificate(office.entra, office)
    refused = credential(office, file)
    for requests in (1, 0):
        with office.counting(requests), pytest.raises(TokenAcquisitionError, match="700027"):
            get(refused, office.scope)
    file.write_bytes(new.pem)
    assert get(refused, office.scope)


def test_a_file_half_written_does_no_harm(
    office: Office, get: Get, made: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = made.write(tmp_path / "daemon.pem")
    rotated = credential(office, file)
    for damage in (made.pem[: len(made.pem) // 2], b""):
        file.write_bytes(damage)
        assert get(rotated, office.scope)
        office.advance(7200)
    assert "the certificate before stays" in caplog.text
    file.unlink()
    assert get(rotated, office.scope)


def replace_certificate(entra: Emulator, office: Office) -> Any:
    """Register another certificate, and take the first away."""
    [held] = entra.directory.credentials_of(office.daemon.client_id).certificates
    entra.remove_certificate(office.daemon, held.key_id)
    return entra.new_certificate(office.daemon)


def test_a_certificate_about_to_expire_is_announced(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    soon = office.entra.new_certificate(office.daemon, expires_in=36 * 3600)
    caplog.set_level(logging.WARNING)
    credential(office, certificate_data=soon.pem)
    assert f"the certificate of client {office.daemon.client_id} expires in 1.5 days" in caplog.text


# --- mistakes ----------------------------------------------------------------------------------------


@cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def self_signed(key: Any) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "somebody")])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + dt.timedelta(days=90))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def der(certificate: bytes) -> bytes:
    """The certificate alone, as a portal downloads it."""
    return x509.load_pem_x509_certificate(certificate).public_bytes(serialization.Encoding.DER)


def key_pem(key: Any) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def test_what_cannot_be_used_fails_when_the_credential_is_built(office: Office, made: Any) -> None:
    small, curve = rsa_key(1024), ec.generate_private_key(ec.SECP256R1())
    mistakes: dict[str, dict[str, Any]] = {
        "no password was given": {"certificate_data": encrypted(made.key) + made.certificate},
        "certificate cannot be used: its password is another": {
            "certificate_data": encrypted(made.key) + made.certificate,
            "password": "wrong",
        },
        "leave the password out": {"certificate_data": made.pem, "password": PASSWORD},
        "its password is another, or": {"certificate_data": pfx(made, PASSWORD), "password": "wrong"},
        "it needs a password": {"certificate_data": pfx(made, PASSWORD)},
        "it holds no private key": {"certificate_data": made.certificate},
        "private key is damaged": {"certificate_data": made.certificate + b"-----BEGIN PRIVATE KEY-----\nx"},
        "it is empty": {"certificate_data": b" \n"},
        "neither PEM nor PFX": {"certificate_data": b"hello"},
        "no private key": {"certificate_data": der(made.certificate)},
        "must be bytes": {"certificate_data": made.pem.decode()},
        "must be a path": {"certificate_path": 5},
        "must be text or bytes": {"certificate_data": made.pem, "password": 5},
        "no certificate": {"certificate_data": made.key},
        "belongs to its private key": {"certificate_data": made.key + self_signed(rsa_key())},
        "not RSA": {"certificate_data": key_pem(curve) + self_signed(curve)},
        "1024 bits": {"certificate_data": key_pem(small) + self_signed(small)},
        "cannot be read from": {"certificate_path": "/nowhere/daemon.pem"},
        "one of them": {},
        "'PS256' or 'RS256'": {"certificate_data": made.pem, "algorithm": "HS256"},
    }
    for words, arguments in mistakes.items():
        with pytest.raises(ConfigurationError, match=words) as caught:
            credential(office, **arguments)
        assert PASSWORD not in str(caught.value)
        assert "BEGIN" not in str(caught.value)


def test_no_representation_shows_the_key(office: Office, made: Any) -> None:
    found = credential(office, certificate_data=made.pem, password=None)
    assert "PrivateKey" not in repr(found) + repr(found._loaded)
