"""A credential with an old and a new proof uses the one that Entra accepts, and reports the days left of each."""

from __future__ import annotations

import datetime as dt
import logging
import pickle
from typing import TYPE_CHECKING, Any

import pytest

from entra_guard.credentials import (
    CertificateCredential,
    ChainedCredential,
    ClientSecret,
    CredentialUnavailableError,
    EnvironmentCredential,
    TokenAcquisitionError,
)
from entra_guard.credentials._proofs import ProofRotation
from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from outbound_entra import Get, OutboundEntra

DAY = 24 * 3600.0
WRONG = "not-the-secret-at-all"


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def states(credential: Any) -> list[tuple[str, bool, str | None]]:
    proofs = credential.health()["proofs"]
    return [(proof["name"], proof["in_use"], proof["failed"]) for proof in proofs]


@pytest.mark.parametrize(("expires_in", "code"), [(None, "AADSTS7000215"), (-1, "AADSTS7000222")])
def test_a_refused_secret_is_replaced_by_the_other_one_which_is_logged_once(
    entra: OutboundEntra, get: Get, caplog: pytest.LogCaptureFixture, expires_in: int | None, code: str
) -> None:
    old = WRONG if expires_in is None else entra.add_secret(entra.caller, expires_in=expires_in).value
    credential = entra.credential(client_secret=[old, entra.secret.value])
    with entra.expect_token_requests(2):
        assert get(credential, entra.scope)
    with entra.expect_token_requests(2):
        for scope in entra.scopes_of_new_apis(2):
            get(credential, scope)
    client = entra.caller.client_id
    assert warnings_of(caplog) == [
        f"client {client}: client secret 1 of 2 ({code}) failed; client secret 2 of 2 is used instead"
    ]
    assert states(credential) == [("client secret 1 of 2", False, code), ("client secret 2 of 2", True, None)]


def test_when_the_second_secret_is_refused_later_the_first_one_is_tried_again(
    entra: OutboundEntra, get: Get, caplog: pytest.LogCaptureFixture
) -> None:
    first = entra.add_secret(entra.caller)
    credential = entra.credential(client_secret=[WRONG, first.value])
    get(credential, entra.scope)
    credential._secrets = (entra.secret.value, first.value)
    entra.remove_secret(entra.caller, first.key_id)
    get(credential, entra.scopes_of_new_apis(1)[0])
    assert "client secret 2 of 2 (AADSTS7000215) failed; client secret 1 of 2 is used instead" in caplog.text
    assert states(credential)[0] == ("client secret 1 of 2", True, None)


def test_if_all_secrets_are_refused_the_error_says_so_and_nothing_is_logged(
    entra: OutboundEntra, get: Get, caplog: pytest.LogCaptureFixture
) -> None:
    credential = entra.credential(client_secret=[WRONG, f"{WRONG}-either"])
    with entra.expect_token_requests(2), pytest.raises(TokenAcquisitionError) as caught:
        get(credential, entra.scope)
    assert caught.value.codes == (7000215,)
    assert str(caught.value).endswith("All 2 proofs of this credential failed.")
    assert WRONG not in str(caught.value)
    assert warnings_of(caplog) == []


@pytest.mark.parametrize(
    "fault", ["AADSTS700016", "AADSTS53003", "AADSTS90055", "temporarily_unavailable", "503", "dropped"]
)
def test_a_failure_that_is_not_about_the_secret_uses_no_other_one(
    entra: OutboundEntra, get: Get, fault: str
) -> None:
    credential = entra.credential(client_secret=[entra.secret.value, WRONG])
    with entra.failing("token", fault), pytest.raises(TokenAcquisitionError):
        get(credential, entra.scope)
    assert states(credential)[0] == ("client secret 1 of 2", True, None)


def test_a_missing_secret_file_is_replaced_by_the_other_one(
    entra: OutboundEntra, get: Get, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    new = tmp_path / "new"
    new.write_text(entra.secret.value)
    credential = entra.credential(client_secret=[tmp_path / "old", new])
    assert get(credential, entra.scope)
    assert "client secret 1 of 2 (file) failed" in caplog.text


def test_a_chain_does_not_continue_after_a_refused_secret_with_a_missing_one(
    entra: OutboundEntra, get: Get, tmp_path: Path
) -> None:
    for secrets in ([WRONG, tmp_path / "missing"], [tmp_path / "missing", WRONG]):
        chain = ChainedCredential(entra.credential(client_secret=secrets), entra.credential())
        with pytest.raises(TokenAcquisitionError, match="7000215") as caught:
            get(chain, entra.scope)
        assert not isinstance(caught.value, CredentialUnavailableError)


def test_a_refused_certificate_is_replaced_by_the_other_one(
    entra: OutboundEntra, get: Get, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old, new = entra.new_certificate(entra.caller), entra.new_certificate(entra.caller)
    held = entra.directory.credentials_of(entra.caller.client_id).certificates
    entra.remove_certificate(entra.caller, held[0].key_id)
    for given in (
        {"certificate_data": [old.pem, new.pem]},
        {"certificate_path": [old.write(tmp_path / "old.pem"), new.write(tmp_path / "new.pem")]},
    ):
        credential = CertificateCredential(
            entra.tenant_id, entra.caller.client_id, **entra.credential_settings, **given
        )
        assert get(credential, entra.scope)
        assert states(credential)[1] == ("certificate 2 of 2", True, None)
    assert caplog.text.count("certificate 1 of 2 (AADSTS700027) failed; certificate 2 of 2 is used") == 2


# --- days left ---------------------------------------------------------------------------------------


def test_health_has_the_days_left_of_each_proof(entra: OutboundEntra) -> None:
    soon = dt.datetime.fromtimestamp(entra.clock.now + 12.5 * DAY, dt.UTC)
    for expires_on in (soon, soon.isoformat(), soon.timestamp()):
        credential = entra.credential(
            client_secret=[ClientSecret(entra.secret.value, expires_on=expires_on), "another-secret"]
        )
        assert [proof["days_left"] for proof in credential.health()["proofs"]] == [12.5, None]
    made = entra.new_certificate(entra.caller, expires_in=100 * DAY)
    ids = entra.tenant_id, entra.caller.client_id
    certificate = CertificateCredential(*ids, certificate_data=made.pem, **entra.credential_settings)
    assert certificate.health()["proofs"][0]["days_left"] == pytest.approx(100, abs=0.1)
    assert certificate.health()["credential"] == repr(certificate)


def test_health_of_composed_credentials_is_that_of_their_members(entra: OutboundEntra, get: Get) -> None:
    secret = ClientSecret(entra.secret.value, expires_on=entra.clock.now + 5 * DAY)
    credential = entra.credential(client_secret=secret)
    chain = ChainedCredential(EnvironmentCredential({}), credential)
    assert chain.health()["proofs"] == []
    get(chain, entra.scope)
    assert chain.health()["proofs"][0]["days_left"] == 5.0
    assert [each["proofs"] for each in chain.health()["credentials"]] == [[], credential.health()["proofs"]]
    environ = {
        "AZURE_TENANT_ID": entra.tenant_id,
        "AZURE_CLIENT_ID": entra.caller.client_id,
        "AZURE_CLIENT_SECRET": entra.secret.value,
    }
    described = EnvironmentCredential(environ, **entra.credential_settings)
    assert described.health()["proofs"][0]["name"] == "client secret"


def test_from_thirty_days_on_a_warning_is_logged_once_a_day(
    entra: OutboundEntra, get: Get, caplog: pytest.LogCaptureFixture
) -> None:
    secret = ClientSecret(entra.secret.value, expires_on=entra.clock.now + 31 * DAY)
    credential = entra.credential(client_secret=secret)
    scopes = iter(entra.scopes_of_new_apis(12))
    get(credential, next(scopes))
    assert warnings_of(caplog) == []
    entra.advance(1.5 * DAY)
    for _ in range(3):
        get(credential, next(scopes))
    assert warnings_of(caplog) == [f"client {entra.caller.client_id}: the client secret expires in 29.5 days"]
    entra.advance(1.1 * DAY)
    get(credential, next(scopes))
    entra.advance(30 * DAY)
    get(credential, next(scopes))
    assert [line.rpartition(": ")[2] for line in warnings_of(caplog)[1:]] == [
        "the client secret expires in 28.4 days",
        "the client secret expired 1.6 days ago",
    ]


def test_a_date_ends_with_its_first_second(entra: OutboundEntra) -> None:
    credential = entra.credential(client_secret=ClientSecret("a-secret", expires_on=dt.date(2999, 1, 2)))
    left = dt.datetime(2999, 1, 2, tzinfo=dt.UTC).timestamp() - entra.clock.now
    assert credential.health()["proofs"][0]["days_left"] == round(left / DAY, 1)
    twin = ClientSecret("a-secret", expires_on="2999-01-02")
    assert entra.credential(client_secret=twin).health() == credential.health()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "at least one secret"),
        ([""], "client_secret must be"),
        (["one", None], "client_secret must be"),
        (["one", "two\n"], "white space"),
        ("\N{ZERO WIDTH NO-BREAK SPACE}a-secret", "byte order mark"),
    ],
)
def test_unusable_secrets_fail_when_the_credential_is_built(
    entra: OutboundEntra, given: Any, words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        entra.credential(client_secret=given)


@pytest.mark.parametrize("expires_on", ["soon", dt.datetime(2030, 1, 1), True, [1], "2030-13-01"])  # noqa: DTZ001
def test_an_expiry_that_cannot_be_read_is_refused(expires_on: Any) -> None:
    with pytest.raises(ConfigurationError, match="expires_on must be") as caught:
        ClientSecret("a-secret", expires_on=expires_on)
    assert str(caught.value).endswith(f"got {expires_on!r}")


def test_a_client_secret_shows_its_expiry_only() -> None:
    assert repr(ClientSecret("a-secret", expires_on="2030-01-31")) == "ClientSecret(expires_on='2030-01-31')"


# --- the rotation by itself --------------------------------------------------------------------------


def test_two_requests_that_fail_at_once_skip_no_proof() -> None:
    proofs = ProofRotation("client secret", [None, None, None])
    for _ in range(2):  # both sent the first one
        proofs.failed(0, [7000215])
    assert proofs.current == 1
    assert proofs.accepted(1)
    assert proofs.accepted(1) == ""


def test_a_pickled_rotation_starts_with_the_first() -> None:
    proofs = ProofRotation("certificate", [1.0, None])
    proofs.failed(0, [700027])
    twin = pickle.loads(pickle.dumps(proofs))
    assert (twin.kind, twin.expiry, twin.current) == ("certificate", [1.0, None], 0)
