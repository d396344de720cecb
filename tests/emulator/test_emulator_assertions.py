"""Client assertions, by certificate or another issuer's token, are accepted and refused as Entra does."""

from __future__ import annotations

import base64
import hashlib
import json
import ssl
import time
import uuid
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from emulator_requests import request_token, verified_claims
from reused_keys import private_key

from entra_guard.emulator import CONTOSO, Emulator, RegistrationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from entra_guard.emulator import GeneratedCertificate
    from entra_guard.testing import Entra

JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SUBJECT = "system:serviceaccount:orders:api"


@pytest.fixture(scope="module")
def _generated() -> GeneratedCertificate:
    """Generated once, because an RSA key is slow to generate."""
    entra = Emulator()
    return entra.new_certificate(entra.register_app("Daemon"))


@pytest.fixture
def certificate(entra: Entra, _generated: GeneratedCertificate) -> GeneratedCertificate:
    entra.add_certificate(entra.caller, _generated.certificate)
    return _generated


def thumbprint(certificate: GeneratedCertificate, algorithm: str) -> bytes:
    return hashlib.new(algorithm, ssl.PEM_cert_to_DER_cert(certificate.certificate.decode())).digest()


def b64(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def default_claims(entra: Entra) -> dict[str, Any]:
    client, now = entra.caller.client_id, int(time.time())
    audience = f"{entra.url}/{CONTOSO}/oauth2/v2.0/token"
    return {
        "aud": audience,
        "iss": client,
        "sub": client,
        "jti": str(uuid.uuid4()),
        "exp": now + 600,
        "nbf": now,
        "iat": now,
    }


def assertion(
    entra: Entra, certificate: GeneratedCertificate, algorithm: str = "PS256", **changes: Any
) -> str:
    """Return an assertion with changes: claims by name, header members with a leading underscore; None removes."""
    header = {"x5t#S256": b64(thumbprint(certificate, "sha256"))}
    header.update({name[1:].replace("_", "#"): value for name, value in changes.items() if name[0] == "_"})
    claims = {**default_claims(entra), **{name: value for name, value in changes.items() if name[0] != "_"}}
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(
        claims, private_key(certificate.key), algorithm, {k: v for k, v in header.items() if v is not None}
    )


def request_with(entra: Entra, token: str, **form: Any) -> Any:
    fields = {"client_secret": None, "client_assertion_type": JWT_BEARER, "client_assertion": token, **form}
    return request_token(entra, **fields)


def refused(response: Any) -> Any:
    return response.json()["error_codes"], response.json()["error_description"]


@pytest.mark.parametrize("algorithm", ["PS256", "RS256"])
def test_a_certificate_gets_a_token_with_its_azpacr(
    entra: Entra, certificate: GeneratedCertificate, algorithm: str
) -> None:
    response = request_with(entra, assertion(entra, certificate, algorithm))
    assert response.status_code == 200, response.text
    assert verified_claims(entra, response.json()["access_token"])["azpacr"] == "2"


@pytest.mark.parametrize(
    "spelling",
    [
        b64,
        lambda digest: base64.urlsafe_b64encode(digest).decode(),
        lambda digest: base64.b64encode(digest).decode(),
        lambda digest: base64.b64encode(digest).rstrip(b"=").decode(),
    ],
)
@pytest.mark.parametrize(("member", "algorithm"), [("_x5t_S256", "sha256"), ("_x5t", "sha1")])
def test_a_thumbprint_may_be_in_any_base64_alphabet(
    entra: Entra, certificate: GeneratedCertificate, spelling: Any, member: str, algorithm: str
) -> None:
    names = {"_x5t_S256": None, member: spelling(thumbprint(certificate, algorithm))}
    assert request_with(entra, assertion(entra, certificate, **names)).status_code == 200


def test_padded_segments_are_verified_as_they_were_signed(
    entra: Entra, certificate: GeneratedCertificate
) -> None:
    """azure-identity's async certificate credential writes these."""
    header = {"alg": "RS256", "typ": "JWT", "x5t": b64(thumbprint(certificate, "sha1")), "pad": "?"}
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode()
        for part in (header, default_claims(entra))
    ]
    signer = jwt.get_algorithm_by_name("RS256")
    signature = signer.sign(".".join(parts).encode(), private_key(certificate.key))
    token = ".".join([*parts, base64.urlsafe_b64encode(signature).decode()])
    assert "=" in token
    assert request_with(entra, token).status_code == 200


@pytest.mark.parametrize(
    "change",
    [
        lambda now: {"exp": now + 600.5, "iat": now - 0.25, "nbf": None},
        lambda now: {"exp": str(now + 600), "nbf": str(now)},
        lambda _now: {"iat": None},
        lambda _now: {"jti": None},
        lambda now: {"exp": now + 1800},
        lambda _now: {"_x5c": ["MII\nABC\n"]},
        lambda _now: {"_x5c": "MIIABC"},
        lambda _now: {"_kid": "anything"},
    ],
)
def test_deviations_of_released_clients_are_accepted(
    entra: Entra, certificate: GeneratedCertificate, change: Callable[[int], dict[str, Any]]
) -> None:
    changes = change(int(time.time()))  # not when tests are collected: that may be long ago
    assert request_with(entra, assertion(entra, certificate, **changes)).status_code == 200


@pytest.mark.parametrize(
    "audience",
    [
        "{0}/{1}/oauth2/v2.0/token",
        "{0}/{1}/oauth2/token",
        "{0}/{1}/v2.0",
        "{0}/{1}/",
        "{0}/common/oauth2/v2.0/token",
    ],
)
def test_an_assertion_may_be_for_the_endpoint_or_the_issuer(
    entra: Entra, certificate: GeneratedCertificate, audience: str
) -> None:
    for tenant in (CONTOSO, "contoso.onmicrosoft.com"):
        aud = audience.format(entra.url, tenant)
        assert request_with(entra, assertion(entra, certificate, aud=aud)).status_code == 200


def test_an_assertion_can_be_reused_and_replaces_the_client_id(
    entra: Entra, certificate: GeneratedCertificate
) -> None:
    token = assertion(entra, certificate)
    assert [request_with(entra, token, client_id=None).status_code for _ in range(2)] == [200, 200]


@pytest.mark.parametrize(
    ("change", "number", "words"),
    [
        ({"aud": "https://attacker.example/oauth2/v2.0/token"}, 700023, "audience claim does not match"),
        ({"aud": "http://127.0.0.1/fabrikam.onmicrosoft.com/oauth2/v2.0/token"}, 700023, "does not match"),
        ({"sub": "somebody else"}, 700021, "doesn't match 'client_id'"),
        ({"iss": "somebody else"}, 700021, "doesn't match 'client_id'"),
        ({"exp": 1000, "nbf": 900}, 700024, "expiry time of assertion 01/01/1970 00:16:40"),
        ({"nbf": 4_000_000_000}, 700024, "not within its valid time range"),
        ({"exp": None}, 50027, "malformed"),
        ({"exp": "soon"}, 50027, "malformed"),
        ({"exp": "nan"}, 700024, "valid time range"),
        ({"_x5t_S256": b64(bytes(32))}, 700027, "[Reason - The key was not found., Thumbprint of key used"),
        ({"_x5t_S256": None}, 700027, "The key was not found"),
        ({"_x5t_S256": 7}, 700027, "The key was not found"),
        ({"_x5t_S256": "!!"}, 700027, "The key was not found"),
    ],
)
def test_an_invalid_assertion_is_refused(
    entra: Entra, certificate: GeneratedCertificate, change: dict[str, Any], number: int, words: str
) -> None:
    numbers, text = refused(request_with(entra, assertion(entra, certificate, **change)))
    assert numbers == [number]
    assert words in text


def test_another_key_with_the_right_thumbprint_is_refused(
    entra: Entra, certificate: GeneratedCertificate
) -> None:
    other = entra.new_certificate(entra.api)
    forged = assertion(entra, other, _x5t_S256=b64(thumbprint(certificate, "sha256")))
    assert refused(request_with(entra, forged))[0] == [700027]
    assert "did not match the expected signature" in refused(request_with(entra, forged))[1]


def test_an_expired_certificate_is_reported_with_its_dates(entra: Entra) -> None:
    old = entra.new_certificate(entra.caller, starts_in=-7200, expires_in=-3600)
    numbers, text = refused(request_with(entra, assertion(entra, old)))
    assert numbers == [700027]
    assert "The key used is expired" in text
    assert "Found key 'Start=" in text


@pytest.mark.parametrize(
    "token", ["", "a.b", "a.b.c", "e30.e30.", "bnVsbA.bnVsbA.", "W10.W10.AA", "ä.b.c", "e30.e30.e30.e30"]
)
def test_text_that_is_not_a_jwt_is_refused(entra: Entra, token: str) -> None:
    assert refused(request_with(entra, token))[0] in ([50027], [5002738])


def test_elliptic_curves_are_not_supported(entra: Entra) -> None:
    token = jwt.encode(default_claims(entra), ec.generate_private_key(ec.SECP256R1()), "ES256")
    assert refused(request_with(entra, token))[0] == [5002738]
    assert "'ES256' is not a supported signature algorithm" in refused(request_with(entra, token))[1]


def test_the_assertion_type_is_required(entra: Entra, certificate: GeneratedCertificate) -> None:
    response = request_with(entra, assertion(entra, certificate), client_assertion_type=None)
    assert "client_assertion_type" in refused(response)[1]


def test_a_removed_certificate_is_refused(entra: Entra) -> None:
    made = entra.new_certificate(entra.caller)
    key_id = entra.directory.credentials_of(entra.caller.client_id).certificates[0].key_id
    entra.remove_certificate(entra.caller, key_id)
    assert refused(request_with(entra, assertion(entra, made)))[0] == [700027]
    with pytest.raises(LookupError, match="no certificate"):
        entra.remove_certificate(entra.caller, key_id)


def test_certificates_are_registered_as_pem_text_pem_or_der(
    entra: Entra, certificate: GeneratedCertificate
) -> None:
    der = ssl.PEM_cert_to_DER_cert(certificate.certificate.decode())
    kept = [
        entra.add_certificate(entra.api, form) for form in (certificate.pem.decode(), certificate.pem, der)
    ]
    assert {stored.der for stored in kept} == {der}
    for nonsense in (b"nonsense", "-----BEGIN CERTIFICATE-----\nnonsense", b""):
        with pytest.raises(ValueError, match="This is not a certificate"):
            entra.add_certificate(entra.api, nonsense)


def test_no_repr_shows_a_private_key_and_only_the_user_can_read_the_file(
    entra: Entra, certificate: GeneratedCertificate, tmp_path: Any
) -> None:
    assert "PRIVATE" not in f"{certificate!r}{entra.store.state!r}"
    path = certificate.write(tmp_path / "client.pem")
    assert path.stat().st_mode & 0o077 == 0
    assert path.read_bytes() == certificate.pem


def test_a_token_of_another_issuer_authenticates_an_app(entra: Entra) -> None:
    entra.add_federated_credential(entra.caller, entra.workload_issuer, SUBJECT)
    response = request_with(entra, entra.workload_token(SUBJECT))
    assert response.status_code == 200, response.text
    assert verified_claims(entra, response.json()["access_token"])["azpacr"] == "2"


def test_the_workload_issuer_has_metadata_and_keys(entra: Entra) -> None:
    issuer = entra.workload_issuer
    configuration = entra.http_client.get(f"{issuer}/.well-known/openid-configuration").json()
    assert configuration["issuer"] == issuer
    keys = jwt.PyJWKSet.from_dict(entra.http_client.get(configuration["jwks_uri"]).json())
    claims = jwt.decode(
        entra.workload_token(SUBJECT),
        keys.keys[0],
        audience="api://AzureADTokenExchange",
        issuer=issuer,
    )
    assert claims["sub"] == SUBJECT


def test_a_foreign_issuers_keys_can_be_given(entra: Entra, certificate: GeneratedCertificate) -> None:
    signer = jwt.get_algorithm_by_name("RS256")
    public = json.loads(signer.to_jwk(private_key(certificate.key).public_key()))
    issuer = "https://token.actions.example"
    entra.add_federated_credential(
        entra.caller, issuer, "repo:a/b", jwks={"keys": [{**public, "kid": "k1", "alg": "RS256"}]}
    )
    claims = {**default_claims(entra), "iss": issuer, "sub": "repo:a/b", "aud": "api://AzureADTokenExchange"}
    assert (
        request_with(
            entra, jwt.encode(claims, private_key(certificate.key), "RS256", {"kid": "k1"})
        ).status_code
        == 200
    )
    assert refused(
        request_with(entra, jwt.encode(claims, private_key(certificate.key), "RS256", {"kid": "k2"}))
    )[0] == [700027]
    entra.add_federated_credential(entra.caller, "https://other.example", "x", name="other")
    unknown = {**claims, "iss": "https://other.example", "sub": "x"}
    assert refused(
        request_with(entra, jwt.encode(unknown, private_key(certificate.key), "RS256", {"kid": "k1"}))
    )[0] == [700027]


def test_an_apps_token_for_token_exchange_authenticates_another_app(entra: Entra) -> None:
    """A managed identity's token: Entra is the issuer, the object id is the subject."""
    helper = entra.register_app("Helper", identifier_uris=())
    secret = entra.add_secret(helper)
    entra.add_federated_credential(entra.caller, f"{entra.authority}/v2.0", helper.service_principal_id)
    exchange = request_token(
        entra,
        client_id=helper.client_id,
        client_secret=secret.value,
        scope="api://AzureADTokenExchange/.default",
    )
    assert request_with(entra, exchange.json()["access_token"]).status_code == 200


@pytest.mark.parametrize(
    ("options", "number", "words"),
    [
        ({"subject": SUBJECT.upper()}, 700213, f"subject '{SUBJECT.upper()}'"),
        ({"audience": "api://other"}, 700212, "audience 'api://other'"),
        ({"lifetime": -600}, 700024, "valid time range"),
    ],
)
def test_issuer_subject_and_audience_must_match_exactly(
    entra: Entra, options: dict[str, Any], number: int, words: str
) -> None:
    entra.add_federated_credential(entra.caller, entra.workload_issuer, SUBJECT)
    token = entra.workload_token(**{"subject": SUBJECT, **options})
    numbers, text = refused(request_with(entra, token))
    assert numbers == [number]
    assert words in text


def test_a_token_of_an_unregistered_issuer_is_refused(entra: Entra) -> None:
    entra.add_federated_credential(entra.caller, "https://token.actions.example", SUBJECT)
    assert refused(request_with(entra, entra.workload_token(SUBJECT)))[0] == [700211]


def test_an_app_has_at_most_twenty_different_federated_credentials(entra: Emulator) -> None:
    app = entra.register_app("Daemon")
    for options, words in [
        ({"name": "ab"}, "3 to 120 characters"),
        ({"description": "x" * 601}, "at most 600"),
        ({"subject": ""}, "needs issuer, subject"),
    ]:
        with pytest.raises(RegistrationError, match=words):
            entra.add_federated_credential(
                **{"app": app, "issuer": "https://i.example", "subject": "s", **options}
            )
    for number in range(20):
        entra.add_federated_credential(app, "https://i.example", f"s{number}")
    with pytest.raises(RegistrationError, match="already has 20 federated credentials"):
        entra.add_federated_credential(app, "https://i.example", "s20")
    other = entra.register_app("Other")
    entra.add_federated_credential(other, "https://i.example", "s")
    with pytest.raises(RegistrationError, match="already has a federated credential for"):
        entra.add_federated_credential(other, "https://i.example", "s")
