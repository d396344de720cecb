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

    from outbound_office import Get, Office

DAY = 24 * 3600.0
WRONG = "not-the-secret-at-all"


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def states(credential: Any) -> list[tuple[str, bool, str | None]]:
    proofs = credential.health()["proofs"]
    return [(proof["name"], proof["in_use"], proof["failed"]) for proof in proofs]


@pytest.mark.parametrize(("expires_in", "code"), [(None, "AADSTS7000215"), (-1, "AADSTS7000222")])
def test_a_refused_secret_is_replaced_by_the_other_one_which_is_logged_once(
    office: Office, get: Get, caplog: pytest.LogCaptureFixture, expires_in: int | None, code: str
) -> None:
    old = WRONG if expires_in is None else office.entra.add_secret(office.daemon, expires_in=expires_in).value
    credential = office.credential(client_secret=[old, office.secret.value])
    with office.counting(2):
        assert get(credential, office.scope)
    with office.counting(2):
        for scope in office.apis(2):
            get(credential, scope)
    client = office.daemon.client_id
    assert warnings_of(caplog) == [
        f"client {client}: client secret 1 of 2 ({code}) failed; client secret 2 of 2 is used instead"
    ]
    assert states(credential) == [("client secret 1 of 2", False, code), ("client secret 2 of 2", True, None)]


def test_when_the_second_secret_is_refused_later_the_first_one_is_tried_again(
    office: Office, get: Get, caplog: pytest.LogCaptureFixture
) -> None:
    first = office.entra.add_secret(office.daemon)
    credential = office.credential(client_secret=[WRONG, first.value])
    get(credential, office.scope)
    credential._secrets = (office.secret.value, first.value)
    office.entra.remove_secret(office.daemon, first.key_id)
    get(credential, office.apis(1)[0])
    assert "client secret 2 of 2 (AADSTS7000215) failed; client secret 1 of 2 is used instead" in caplog.text
    assert states(credential)[0] == ("client secret 1 of 2", True, None)


def test_if_all_secrets_are_refused_the_error_says_so_and_nothing_is_logged(
    office: Office, get: Get, caplog: pytest.LogCaptureFixture
) -> None:
    credential = office.credential(client_secret=[WRONG, f"{WRONG}-either"])
    with office.counting(2), pytest.raises(TokenAcquisitionError) as caught:
        get(credential, office.scope)
    assert caught.value.codes == (7000215,)
    assert str(caught.value).endswith("All 2 proofs of this credential failed.")
    assert WRONG not in str(caught.value)
    assert warnings_of(caplog) == []


@pytest.mark.parametrize(
    "fault", ["AADSTS700016", "AADSTS53003", "AADSTS90055", "temporarily_unavailable", "503", "dropped"]
)
def test_a_failure_that_is_not_about_the_secret_uses_no_other_one(
    office: Office, get: Get, fault: str
) -> None:
    credential = office.credential(client_secret=[office.secret.value, WRONG])
    with office.entra.failing("token", fault), pytest.raises(TokenAcquisitionError):
        get(credential, office.scope)
    assert states(credential)[0] == ("client secret 1 of 2", True, None)


def test_a_missing_secret_file_is_replaced_by_the_other_one(
    office: Office, get: Get, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    new = tmp_path / "new"
    new.write_text(office.secret.value)
    credential = office.credential(client_secret=[tmp_path / "old", new])
    assert get(credential, office.scope)
    assert "client secret 1 of 2 (file) failed" in caplog.text


def test_a_chain_does_not_continue_after_a_refused_secret_with_a_missing_one(
    office: Office, get: Get, tmp_path: Path
) -> None:
    for secrets in ([WRONG, tmp_path / "missing"], [tmp_path / "missing", WRONG]):
        chain = ChainedCredential(office.credential(client_secret=secrets), office.credential())
        with pytest.raises(TokenAcquisitionError, match="7000215") as caught:
            get(chain, office.scope)
        assert not isinstance(caught.value, CredentialUnavailableError)


def test_a_refused_certificate_is_replaced_by_the_other_one(
    office: Office, get: Get, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old, new = office.entra.new_certificate(office.daemon), office.entra.new_certificate(office.daemon)
    held = office.entra.directory.credentials_of(office.daemon.client_id).certificates
    office.entra.remove_certificate(office.daemon, held[0].key_id)
    for given in (
        {"certificate_data": [old.pem, new.pem]},
        {"certificate_path": [old.write(tmp_path / "old.pem"), new.write(tmp_path / "new.pem")]},
    ):
        credential = CertificateCredential(
            office.entra.tenant_id, office.daemon.client_id, **office.settings, **given
        )
        assert get(credential, office.scope)
        assert states(credential)[1] == ("certificate 2 of 2", True, None)
    assert caplog.text.count("certificate 1 of 2 (AADSTS700027) failed; certificate 2 of 2 is used") == 2


# --- days left ---------------------------------------------------------------------------------------


def test_health_has_the_days_left_of_each_proof(office: Office) -> None:
    soon = dt.datetime.fromtimestamp(office.clock.now + 12.5 * DAY, dt.UTC)
    for expires_on in (soon, soon.isoformat(), soon.timestamp()):
        credential = office.credential(
            client_secret=[ClientSecret(office.secret.value, expires_on=expires_on), "another-secret"]
        )
        assert [proof["days_left"] for proof in credential.health()["proofs"]] == [12.5, None]
    made = office.entra.new_certificate(office.daemon, expires_in=100 * DAY)
    ids = office.entra.tenant_id, office.daemon.client_id
    certificate = CertificateCredential(*ids, certificate_data=made.pem, **office.settings)
    assert certificate.health()["proofs"][0]["days_left"] == pytest.approx(100, abs=0.1)
    assert certificate.health()["credential"] == repr(certificate)


def test_health_of_composed_credentials_is_that_of_their_members(office: Office, get: Get) -> None:
    secret = ClientSecret(office.secret.value, expires_on=office.clock.now + 5 * DAY)
    credential = office.credential(client_secret=secret)
    chain = ChainedCredential(EnvironmentCredential({}), credential)
    assert chain.health()["proofs"] == []
    get(chain, office.scope)
    assert chain.health()["proofs"][0]["days_left"] == 5.0
    assert [each["proofs"] for each in chain.health()["credentials"]] == [[], credential.health()["proofs"]]
    environ = {
        "AZURE_TENANT_ID": office.entra.tenant_id,
        "AZURE_CLIENT_ID": office.daemon.client_id,
        "AZURE_CLIENT_SECRET": office.secret.value,
    }
    described = EnvironmentCredential(environ, **office.settings)
    assert described.health()["proofs"][0]["name"] == "client secret"


def test_from_thirty_days_on_a_warning_is_logged_once_a_day(
    office: Office, get: Get, caplog: pytest.LogCaptureFixture
) -> None:
    secret = ClientSecret(office.secret.value, expires_on=office.clock.now + 31 * DAY)
    credential = office.credential(client_secret=secret)
    scopes = iter(office.apis(12))
    get(credential, next(scopes))
    assert warnings_of(caplog) == []
    office.advance(1.5 * DAY)
    for _ in range(3):
        get(credential, next(scopes))
    assert warnings_of(caplog) == [
        f"client {office.daemon.client_id}: the client secret expires in 29.5 days"
    ]
    office.advance(1.1 * DAY)
    get(credential, next(scopes))
    office.advance(30 * DAY)
    get(credential, next(scopes))
    assert [line.rpartition(": ")[2] for line in warnings_of(caplog)[1:]] == [
        "the client secret expires in 28.4 days",
        "the client secret expired 1.6 days ago",
    ]


def test_a_date_ends_with_its_first_second(office: Office) -> None:
    credential = office.credential(client_secret=ClientSecret("a-secret", expires_on=dt.date(2999, 1, 2)))
    left = dt.datetime(2999, 1, 2, tzinfo=dt.UTC).timestamp() - office.clock.now
    assert credential.health()["proofs"][0]["days_left"] == round(left / DAY, 1)
    twin = ClientSecret("a-secret", expires_on="2999-01-02")
    assert office.credential(client_secret=twin).health() == credential.health()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "at least one secret"),
        ([""], "client_secret is missing"),
        (["one", None], "client_secret is missing"),
        (["one", "two\n"], "white space"),
        ("\N{ZERO WIDTH NO-BREAK SPACE}a-secret", "byte order mark"),
    ],
)
def test_unusable_secrets_fail_when_the_credential_is_built(office: Office, given: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        office.credential(client_secret=given)


@pytest.mark.parametrize("expires_on", ["soon", dt.datetime(2030, 1, 1), True, [1], "2030-13-01"])  # noqa: DTZ001
def test_an_expiry_that_cannot_be_read_is_refused(expires_on: Any) -> None:
    with pytest.raises(ConfigurationError, match="expires_on must be"):
        ClientSecret("a-secret", expires_on=expires_on)


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
