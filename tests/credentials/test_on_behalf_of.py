"""A user's token is exchanged once; the result is cached under the token's hash."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from outbound_entra import claims_of, wait_until_idle
from recording import Recording

from entra_guard.credentials import (
    CertificateCredential,
    ChainedCredential,
    EnvironmentCredential,
    ManagedIdentityCredential,
    OnBehalfOfCredential,
    TokenAcquisitionError,
)
from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from outbound_entra import Get, OutboundEntra

    from entra_guard.emulator import AppRegistration


@pytest.fixture
def front(entra: OutboundEntra) -> AppRegistration:
    """An API that users call and that calls the other API on their behalf."""
    front = entra.register_app("Front", scopes=["access_as_user"])
    entra.grant_delegated(front, entra.api, "access_as_user")
    return front


@pytest.fixture
def application(entra: OutboundEntra, front: AppRegistration) -> Any:
    secret = entra.add_secret(front).value
    return entra.credential(client_id=front.client_id, client_secret=secret)


def sent_by(entra: OutboundEntra, front: AppRegistration, user: str) -> str:
    """The token that a user sends to the front."""
    return entra.issue_token(front, user=user, scopes=["access_as_user"])


def scope(entra: OutboundEntra) -> str:
    return f"{entra.api.app_id_uri}/access_as_user"


def test_the_token_is_the_users(
    entra: OutboundEntra, get: Get, front: AppRegistration, application: Any
) -> None:
    token = get(OnBehalfOfCredential(application, sent_by(entra, front, "alice")), scope(entra))
    claims = claims_of(token)
    assert claims["azp"] == front.client_id
    assert claims["scp"] == "access_as_user"
    assert claims["preferred_username"].startswith("alice@")


def test_the_next_request_of_the_same_user_finds_it(
    entra: OutboundEntra, get: Get, front: AppRegistration, application: Any
) -> None:
    sent = sent_by(entra, front, "alice")
    with entra.expect_token_requests(1):
        tokens = {get(OnBehalfOfCredential(application, sent), scope(entra)) for _ in range(5)}
    assert len(tokens) == 1


def test_users_never_get_each_others_token_nor_the_apps_own(
    entra: OutboundEntra, get: Get, front: AppRegistration, application: Any
) -> None:
    users = {
        name: OnBehalfOfCredential(application, sent_by(entra, front, name)) for name in ("alice", "bob")
    }
    own = get(application, entra.scope)
    found = {name: get(user, entra.scope) for name, user in users.items()}
    assert len({own, *found.values()}) == 3
    for name, token in found.items():
        assert claims_of(token)["preferred_username"].startswith(f"{name}@")
    assert get(application, entra.scope) == own


def test_fifty_requests_of_one_user_exchange_once(
    entra: OutboundEntra, front: AppRegistration, application: Any
) -> None:
    sent = sent_by(entra, front, "alice")
    entra.fail("token", "slow", delay=0.1)
    with entra.expect_token_requests(1), ThreadPoolExecutor(50) as pool:
        list(pool.map(lambda _: OnBehalfOfCredential(application, sent).get_token(scope(entra)), range(50)))


def test_the_users_token_is_not_stored(
    entra: OutboundEntra, front: AppRegistration, application: Any
) -> None:
    sent = sent_by(entra, front, "alice")
    user = OnBehalfOfCredential(application, sent)
    user.get_token(scope(entra))
    [key] = user._tokens.recent
    assert sent not in repr(key)
    assert sent not in repr(user)


def test_the_form_is_an_on_behalf_of_requests(
    entra: OutboundEntra, get: Get, front: AppRegistration, application: Any
) -> None:
    recording = Recording(entra.transport)
    secret = entra.add_secret(front).value
    application = entra.credential(
        client_id=front.client_id, client_secret=secret, http_client=httpx.Client(transport=recording)
    )
    sent = sent_by(entra, front, "alice")
    get(OnBehalfOfCredential(application, sent), scope(entra))
    [form] = recording.forms
    form.pop("claims")
    assert form == {
        "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "requested_token_use": "on_behalf_of",
        "assertion": sent,
        "client_id": front.client_id,
        "client_secret": secret,
        "scope": scope(entra),
    }


def test_it_is_renewed_in_the_background_like_any_other(
    entra: OutboundEntra, get: Get, front: AppRegistration, application: Any
) -> None:
    user = OnBehalfOfCredential(application, sent_by(entra, front, "alice"))
    first = get(user, scope(entra))
    entra.advance((first.refresh_on - entra.clock.now) + 1)
    with entra.expect_token_requests(1):
        assert get(user, scope(entra)) == first
        wait_until_idle(user)
        assert get(user, scope(entra)) != first


def test_a_certificate_proves_the_application_as_well(
    entra: OutboundEntra, get: Get, front: AppRegistration
) -> None:
    made = entra.new_certificate(front)
    application = CertificateCredential(
        entra.tenant_id, front.client_id, certificate_data=made.pem, **entra.credential_settings
    )
    assert get(OnBehalfOfCredential(application, sent_by(entra, front, "alice")), scope(entra))


def test_a_refusal_of_one_user_keeps_no_other_waiting(
    entra: OutboundEntra, get: Get, front: AppRegistration, application: Any
) -> None:
    with entra.expect_token_requests(2):
        with pytest.raises(TokenAcquisitionError):
            get(OnBehalfOfCredential(application, "no.token.atall"), scope(entra))
        assert get(OnBehalfOfCredential(application, sent_by(entra, front, "alice")), scope(entra))


def test_a_retry_after_for_one_user_stops_requests_for_all_users_of_the_scope(
    entra: OutboundEntra, get: Get, front: AppRegistration, application: Any
) -> None:
    with entra.failing("token", "429", retry_after=60), entra.expect_token_requests(1):
        for user in ("alice", "bob", "alice"):
            sent = sent_by(entra, front, user)
            with pytest.raises(TokenAcquisitionError) as caught:
                get(OnBehalfOfCredential(application, sent), scope(entra))
            assert caught.value.retry_after == 60


def test_the_users_token_is_in_no_error(
    entra: OutboundEntra, get: Get, application: Any, caplog: pytest.LogCaptureFixture
) -> None:
    other = entra.register_app("Elsewhere", scopes=["x"])
    sent = entra.issue_token(other, user="alice", scopes=["x"])
    with pytest.raises(TokenAcquisitionError) as caught:
        get(OnBehalfOfCredential(application, sent), scope(entra))
    assert sent not in str(caught.value) + caplog.text


def test_an_environment_or_chain_that_describes_an_application_can_act_for_users(
    entra: OutboundEntra, get: Get, front: AppRegistration
) -> None:
    environ = {
        "AZURE_TENANT_ID": entra.tenant_id,
        "AZURE_CLIENT_ID": front.client_id,
        "AZURE_CLIENT_SECRET": entra.add_secret(front).value,
    }
    described = EnvironmentCredential(environ, **entra.credential_settings)
    for application in (
        described,
        described.as_async(),
        ChainedCredential(EnvironmentCredential({}), described),
        ChainedCredential(described, ManagedIdentityCredential(environ={})),
    ):
        user = OnBehalfOfCredential(application, sent_by(entra, front, "alice"))
        assert claims_of(get(user, scope(entra)))["azp"] == front.client_id
        assert (user.tenant_id, user.authority) == (described.tenant_id, described.authority)
        assert user.health() == described.health()


@pytest.mark.parametrize(
    ("application", "words"),
    [
        (EnvironmentCredential({}), "the environment: missing: AZURE_TENANT_ID"),
        (ManagedIdentityCredential(environ={}), "ManagedIdentityCredential does not prove an application"),
        (
            ChainedCredential(EnvironmentCredential({}), ManagedIdentityCredential(environ={})),
            "ManagedIdentityCredential does not prove",
        ),
        (ChainedCredential(EnvironmentCredential({})), "ChainedCredential does not prove an application"),
        (object(), "object does not prove an application"),
    ],
)
def test_what_does_not_prove_an_application_is_refused_with_the_reason(application: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        OnBehalfOfCredential(application, "a.b.c")


def test_only_an_application_can_act_for_users(entra: OutboundEntra) -> None:
    with pytest.raises(ConfigurationError, match="does not prove an application"):
        OnBehalfOfCredential(ManagedIdentityCredential(environ={}), "a.b.c")  # type: ignore[arg-type]
    for sent in ("", "\N{EURO SIGN}", "Bearer a.b.c", " ", "a\nb", b"a.b.c", None):
        with pytest.raises(ConfigurationError, match="user_assertion"):
            OnBehalfOfCredential(entra.credential(), sent)  # type: ignore[arg-type]
