"""A certificate proves an application: read from PEM or PFX, used with the requested signature, reloaded when it changes."""

from __future__ import annotations

import base64
import datetime as dt
import logging
from base64 import b64decode, b64encode, urlsafe_b64encode
from functools import cache
from typing import TYPE_CHECKING, Any

import httpx
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from outbound_entra import claims_of
from recording import Recording
from reused_keys import private_key

from entra_guard.credentials import CertificateCredential, TokenAcquisitionError
from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from outbound_entra import Get, OutboundEntra


PASSWORD = "correct horse battery staple"
DAY = 24 * 3600.0


@cache
def rsa_key(bits: int = 2048, name: str = "") -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def certificate(
    subject: str, key: Any, issuer: str, signer: Any, *, begins: float = -1, ends: float = 300
) -> x509.Certificate:
    """Return a certificate that is valid between two days from now."""
    now = dt.datetime.now(dt.UTC)
    names = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]) for name in (issuer, subject)]
    times = [now + dt.timedelta(days=days) for days in (begins, ends)]
    builder = x509.CertificateBuilder(*names, key.public_key(), x509.random_serial_number(), *times)
    return builder.sign(signer, hashes.SHA256())


def pem(*items: Any) -> bytes:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return b"".join(
        item.public_bytes(encoding)
        if isinstance(item, x509.Certificate)
        else item.private_bytes(encoding, form, serialization.NoEncryption())
        for item in items
    )


def self_signed(key: Any) -> bytes:
    return pem(certificate("another", key, "another", key))


def credential(entra: OutboundEntra, *args: Any, **changes: Any) -> CertificateCredential:
    settings = {**entra.credential_settings, **changes}
    return CertificateCredential(entra.tenant_id, entra.caller.client_id, *args, **settings)


def encrypted(pem: bytes) -> bytes:
    scheme = serialization.BestAvailableEncryption(PASSWORD.encode())
    return private_key(pem).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, scheme
    )


def openssh(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )


def pfx(made: Any, password: str | None = None) -> bytes:
    scheme: Any = serialization.NoEncryption()
    if password:
        scheme = serialization.BestAvailableEncryption(password.encode())
    certificate = x509.load_pem_x509_certificate(made.certificate)
    return pkcs12.serialize_key_and_certificates(b"daemon", private_key(made.key), certificate, None, scheme)


@pytest.fixture
def made(entra: OutboundEntra) -> Any:
    """A certificate that the application's registration knows."""
    return entra.new_certificate(entra.caller)


# --- forms -------------------------------------------------------------------------------------------


def test_every_form_of_certificate_gets_a_token(
    entra: OutboundEntra, get: Get, made: Any, tmp_path: Path
) -> None:
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
        assert get(credential(entra, file, password=password), entra.scope), name
        assert get(credential(entra, certificate_data=data, password=password), entra.scope), name


def test_the_token_says_that_a_certificate_proved_the_app(entra: OutboundEntra, get: Get, made: Any) -> None:
    token = get(credential(entra, certificate_data=made.pem), entra.scope)
    assert claims_of(token)["azpacr"] == "2"


# --- what is signed ----------------------------------------------------------------------------------


def assertions(entra: OutboundEntra, get: Get, made: Any, times: int = 1, **changes: Any) -> list[str]:
    recording = Recording(entra.transport)
    signing = credential(
        entra, certificate_data=made.pem, http_client=httpx.Client(transport=recording), **changes
    )
    for _ in range(times):
        get(signing, entra.scope)
        entra.advance(7200)
    kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    assert {form["client_assertion_type"] for form in recording.forms} == {kind}
    return [form["client_assertion"] for form in recording.forms]


def thumbprint(made: Any, algorithm: Any) -> str:
    digest = x509.load_pem_x509_certificate(made.certificate).fingerprint(algorithm)
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


def test_it_is_signed_with_ps256_and_named_by_sha_256(entra: OutboundEntra, get: Get, made: Any) -> None:
    now = int(entra.clock.now)
    [assertion] = assertions(entra, get, made)
    expected = {"alg": "PS256", "typ": "JWT", "x5t#S256": thumbprint(made, hashes.SHA256())}
    assert jwt.get_unverified_header(assertion) == expected
    audience = f"{entra.url}/{entra.tenant_id}/oauth2/v2.0/token"
    key = private_key(made.key).public_key()
    claims = jwt.decode(assertion, key, ["PS256"], audience=audience, options={"verify_iat": False})
    assert claims["iss"] == claims["sub"] == entra.caller.client_id
    assert claims["iat"] == claims["nbf"] == now
    assert claims["exp"] == now + 600


def test_each_request_has_an_assertion_of_its_own(entra: OutboundEntra, get: Get, made: Any) -> None:
    options = {"verify_signature": False}
    ids = [jwt.decode(each, options=options)["jti"] for each in assertions(entra, get, made, times=3)]
    assert len(set(ids)) == 3


def test_rs256_with_a_sha_1_thumbprint_on_request(entra: OutboundEntra, get: Get, made: Any) -> None:
    [assertion] = assertions(entra, get, made, algorithm="RS256")
    expected = {"alg": "RS256", "typ": "JWT", "x5t": thumbprint(made, hashes.SHA1())}
    assert jwt.get_unverified_header(assertion) == expected


def test_the_certificates_are_sent_along_on_request(entra: OutboundEntra, get: Get, made: Any) -> None:
    [assertion] = assertions(entra, get, made, send_certificate_chain=True)
    [first] = jwt.get_unverified_header(assertion)["x5c"]
    own = x509.load_pem_x509_certificate(made.certificate)
    assert x509.load_der_x509_certificate(b64decode(first)) == own


def signed_by(entra: OutboundEntra, *args: Any, **given: Any) -> dict[str, Any]:
    """Return the header of an assertion that a credential signs, with its certificates parsed."""
    fields = credential(entra, *args, send_certificate_chain=True, **given)._proof_fields()
    header = jwt.get_unverified_header(fields["client_assertion"])
    return {**header, "chain": [x509.load_der_x509_certificate(b64decode(each)) for each in header["x5c"]]}


def common_names(chain: list[x509.Certificate]) -> list[str]:
    return [str(each.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value) for each in chain]


def test_the_chain_has_the_issuers_in_order_and_nothing_else(entra: OutboundEntra) -> None:
    own, middle, root = (rsa_key(name=name) for name in ("own", "middle", "root"))
    leaf = certificate("app", own, "middle", middle)
    chain = [certificate("middle", middle, "root", root), certificate("root", root, "root", root)]
    unrelated = [certificate("unrelated", rsa_key(name="x"), "unrelated", rsa_key(name="x"))]
    shuffled = pem(chain[1], *unrelated, own, chain[0], leaf)
    found = signed_by(entra, certificate_data=shuffled)
    assert common_names(found["chain"]) == ["app", "middle", "root"]
    assert found["chain"] == [leaf, *chain]


# --- several certificates in one file ----------------------------------------------------------------


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 0, 2]])
def test_of_several_certificates_the_one_that_is_valid_longest_signs(
    entra: OutboundEntra, order: list[int]
) -> None:
    own = rsa_key()
    made = [
        certificate("app", own, "app", own, begins=-400, ends=-35),  # expired
        certificate("app", own, "app", own, begins=-40, ends=325),  # its renewal
        certificate("app", own, "app", own, begins=30, ends=700),  # valid in a month
    ]
    found = signed_by(entra, certificate_data=pem(own, *(made[number] for number in order)))
    assert found["chain"] == [made[1]]
    entra.advance(330 * DAY)
    assert signed_by(entra, certificate_data=pem(own, *(made[number] for number in order)))["chain"] == [
        made[2]
    ]


def test_of_several_keys_the_one_with_the_certificate_that_is_valid_longest_signs(
    entra: OutboundEntra,
) -> None:
    old, new = rsa_key(name="old"), rsa_key(name="new")
    made = [certificate("old", old, "old", old, ends=5), certificate("new", new, "new", new, ends=90)]
    for data in (pem(old, made[0], new, made[1]), pem(made[1], made[0], new, old)):
        assert signed_by(entra, certificate_data=data)["chain"] == [made[1]]


def test_a_renewed_certificate_of_a_pfx_is_found_among_the_others(entra: OutboundEntra) -> None:
    own = rsa_key()
    old, new = (certificate("app", own, "app", own, begins=-40, ends=ends) for ends in (-1, 90))
    data = pkcs12.serialize_key_and_certificates(b"app", own, old, [new], serialization.NoEncryption())
    assert signed_by(entra, certificate_data=data)["chain"] == [new]


def test_a_certificate_that_cannot_be_parsed_does_not_hide_the_others(
    entra: OutboundEntra, made: Any
) -> None:
    damaged = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    assert signed_by(entra, certificate_data=damaged + made.pem)["chain"]


# --- as secret stores deliver them -------------------------------------------------------------------


def text(made: Any) -> str:
    found: str = made.pem.decode()
    return found


# The same certificate in the forms in which it arrives.
DELIVERED: dict[str, Callable[[Any], bytes | str]] = {
    "text": text,
    "literal line breaks": lambda made: text(made).replace("\n", "\\n"),
    "literal line breaks of Windows": lambda made: text(made).replace("\n", "\\r\\n"),
    "in quotes": lambda made: f'"{text(made)}"',
    "blanks instead of line breaks": lambda made: text(made).replace("\n", " "),
    "line breaks of Windows": lambda made: text(made).replace("\n", "\r\n"),
    "no line breaks in the bodies": lambda made: "\n".join(one_line_each(text(made))),
    "byte order mark": lambda made: b"\xef\xbb\xbf" + made.pem,
    "UTF-16 with a mark": lambda made: text(made).encode("utf-16"),
    "UTF-16 of the other order": lambda made: b"\xfe\xff" + text(made).encode("utf-16-be"),
    "UTF-16 without a mark": lambda made: text(made).encode("utf-16-le"),
    "UTF-32": lambda made: text(made).encode("utf-32"),
    "base64 of PEM": lambda made: b64encode(made.pem),
    "base64 of PEM in lines": lambda made: base64.encodebytes(made.pem),
    "base64 of a PFX": lambda made: b64encode(pfx(made)),
    "base64 of a PFX as text": lambda made: b64encode(pfx(made)).decode() + "\n",
    "base64 of a PFX, url-safe, without padding": lambda made: base64.urlsafe_b64encode(pfx(made)).rstrip(
        b"="
    ),
    "base64 of a PFX in UTF-16": lambda made: b64encode(pfx(made)).decode().encode("utf-16"),
    "attributes between the blocks": lambda made: f"Bag Attributes\n  friendlyName: app\n{text(made)}",
}


def one_line_each(text: str) -> list[str]:
    blocks = [
        block.strip().split("\n") for block in text.replace("-----BEGIN", "\x00-----BEGIN").split("\x00")[1:]
    ]
    return [line for block in blocks for line in (block[0], "".join(block[1:-1]), block[-1])]


@pytest.mark.parametrize("form", DELIVERED)
def test_certificates_are_read_as_secret_stores_deliver_them(
    entra: OutboundEntra, made: Any, form: str
) -> None:
    data = DELIVERED[form](made)
    assert credential(entra, certificate_data=data).get_token(entra.scope).token


def test_a_file_of_such_a_form_is_read_too(entra: OutboundEntra, made: Any, tmp_path: Path) -> None:
    file = tmp_path / "app.pfx"
    file.write_bytes(b64encode(pfx(made, PASSWORD)))
    assert credential(entra, file, password=PASSWORD).get_token(entra.scope).token


# --- rotation ----------------------------------------------------------------------------------------


def test_a_changed_file_is_picked_up(entra: OutboundEntra, get: Get, made: Any, tmp_path: Path) -> None:
    file = made.write(tmp_path / "daemon.pem")
    rotated = credential(entra, file)
    get(rotated, entra.scope)
    new = replace_certificate(entra)
    file.write_bytes(new.pem)
    entra.advance(7200)
    assert get(rotated, entra.scope)


def test_a_file_that_does_not_change_is_read_at_most_once_more(
    entra: OutboundEntra, get: Get, made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from entra_guard.credentials import _certificate_source

    file = made.write(tmp_path / "daemon.pem")
    rotated, reads = credential(entra, file), []
    read = _certificate_source.read_certificate
    monkeypatch.setattr(
        _certificate_source, "read_certificate", lambda *given, now: reads.append(1) or read(*given, now=now)
    )
    file.write_bytes(made.pem + b"\n")
    for _ in range(3):
        get(rotated, entra.scope)
        entra.advance(7200)
    assert len(reads) == 1


def test_a_refusal_is_forgotten_when_the_file_changes(
    entra: OutboundEntra, get: Get, made: Any, tmp_path: Path
) -> None:
    file = made.write(tmp_path / "daemon.pem")
    new = replace_certificate(entra)
    refused = credential(entra, file)
    for requests in (1, 0):
        with entra.expect_token_requests(requests), pytest.raises(TokenAcquisitionError, match="700027"):
            get(refused, entra.scope)
    file.write_bytes(new.pem)
    assert get(refused, entra.scope)


def test_a_file_half_written_keeps_the_previous_certificate(
    entra: OutboundEntra, get: Get, made: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = made.write(tmp_path / "daemon.pem")
    rotated = credential(entra, file)
    for damage in (made.pem[: len(made.pem) // 2], b""):
        file.write_bytes(damage)
        assert get(rotated, entra.scope)
        entra.advance(7200)
    assert "keeping the previous certificate" in caplog.text
    file.unlink()
    assert get(rotated, entra.scope)


def replace_certificate(entra: OutboundEntra) -> Any:
    """Register another certificate and remove the first."""
    [held] = entra.directory.credentials_of(entra.caller.client_id).certificates
    entra.remove_certificate(entra.caller, held.key_id)
    return entra.new_certificate(entra.caller)


def test_a_certificate_about_to_expire_is_announced(
    entra: OutboundEntra, caplog: pytest.LogCaptureFixture
) -> None:
    soon = entra.new_certificate(entra.caller, expires_in=36 * 3600)
    caplog.set_level(logging.WARNING)
    credential(entra, certificate_data=soon.pem)
    assert f"client {entra.caller.client_id}: the certificate expires in 1.5 days" in caplog.text


# --- mistakes ----------------------------------------------------------------------------------------


def der(certificate: bytes) -> bytes:
    """The certificate alone, as a portal downloads it."""
    return x509.load_pem_x509_certificate(certificate).public_bytes(serialization.Encoding.DER)


def key_der(key: Any) -> bytes:
    return key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def test_what_cannot_be_used_fails_when_the_credential_is_built(entra: OutboundEntra, made: Any) -> None:
    small, curve = rsa_key(1024), ec.generate_private_key(ec.SECP256R1())
    mistakes: dict[str, dict[str, Any]] = {
        "no password was given": {"certificate_data": encrypted(made.key) + made.certificate},
        "certificate cannot be used: its password is wrong": {
            "certificate_data": encrypted(made.key) + made.certificate,
            "password": "wrong",
        },
        "omit the password": {"certificate_data": made.pem, "password": PASSWORD},
        "its password is wrong, or": {"certificate_data": pfx(made, PASSWORD), "password": "wrong"},
        "it needs a password": {"certificate_data": pfx(made, PASSWORD)},
        "it holds no private key": {"certificate_data": made.certificate},
        "private key is damaged": {"certificate_data": made.certificate + b"-----BEGIN PRIVATE KEY-----\nx"},
        "it is empty": {"certificate_data": b" \n"},
        "neither PEM nor PFX": {"certificate_data": b"hello"},
        "a certificate alone": {"certificate_data": der(made.certificate)},
        "must be bytes or str": {"certificate_data": 5},
        "must be a path": {"certificate_path": 5},
        "password must be str or bytes": {"certificate_data": made.pem, "password": 5},
        "a private key and no certificate": {"certificate_data": made.key},
        "a private key and a certificate that is damaged": {
            "certificate_data": made.key + b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"
        },
        "only: CERTIFICATE REQUEST": {
            "certificate_data": b"-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n-----END CERTIFICATE REQUEST-----"
        },
        "not the path of a file": {"certificate_path": made.pem.decode()},
        "if it is a path": {"certificate_data": "/etc/orders/identity.pem"},
        "is a JSON object": {"certificate_data": b'{"value": "MIIKc...", "id": "https://vault.example"}'},
        "private key alone": {"certificate_data": key_der(rsa_key())},
        "base64, and what it encodes cannot be used: it is a certificate alone": {
            "certificate_data": b64encode(der(made.certificate))
        },
        "an empty list": {"certificate_data": []},
        "belongs to its private key": {"certificate_data": made.key + self_signed(rsa_key())},
        "in OpenSSH's format": {"certificate_data": made.certificate + openssh(rsa_key())},
        "it is neither PEM nor PFX; a .cer": {"certificate_data": "\ud800"},
        "is wrong": {
            "certificate_data": encrypted(made.key) + made.certificate,
            "password": f"{PASSWORD}\udce9",  # as Python reads a variable in Latin-1
        },
        "not RSA": {"certificate_data": pem(curve) + self_signed(curve)},
        "1024 bits": {"certificate_data": pem(small) + self_signed(small)},
        "^the certificate cannot be read from /nowhere/daemon.pem": {
            "certificate_path": "/nowhere/daemon.pem"
        },
        "give either certificate_path or certificate_data": {},
        "'PS256' or 'RS256'": {"certificate_data": made.pem, "algorithm": "HS256"},
    }
    for words, arguments in mistakes.items():
        with pytest.raises(ConfigurationError, match=words) as caught:
            credential(entra, **arguments)
        assert PASSWORD not in str(caught.value)
        assert "-----BEGIN" not in str(caught.value)
        assert "MII" not in str(caught.value)


def test_no_representation_shows_the_key(entra: OutboundEntra, made: Any) -> None:
    found = credential(entra, certificate_data=made.pem, password=None)
    assert "PrivateKey" not in repr(found) + repr(found._sources[0].loaded)
