"""Tokens of AI agents, in all kinds: requested in steps, cached, and accepted by a guard as what they are."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import jwt
import pytest

from entra_guard import Requirement
from entra_guard.credentials import (
    AgentCredential,
    ChainedCredential,
    ClientAssertionCredential,
    EnvironmentCredential,
    ManagedIdentityCredential,
    OnBehalfOfCredential,
    TokenAcquisitionError,
)
from entra_guard.emulator import GRAPH, RegistrationError
from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    import httpx
    from outbound_entra import Get, OutboundEntra

    from entra_guard.emulator import AgentIdentity, AppRegistration, User


class Agency(NamedTuple):
    """A blueprint with an agent that has a user account, and an API that they may call."""

    entra: OutboundEntra
    blueprint: AppRegistration
    agent: AgentIdentity
    user: User
    credential: Any

    def agent_credential(self, user: str | None = None) -> AgentCredential:
        return AgentCredential(self.credential, self.agent.id, user)

    @property
    def scope(self) -> str:
        return f"{self.entra.api.app_id_uri}/access_as_user"


@pytest.fixture
def agency(entra: OutboundEntra) -> Agency:
    blueprint = entra.register_app("Assistants", scopes=["access_agent"], is_blueprint=True)
    agent = entra.add_agent("Sales assistant", blueprint)
    user = entra.add_user("sales.assistant", agent=agent)
    entra.grant(agent, entra.api, "Orders.Read")
    entra.grant_delegated(agent, entra.api, "access_as_user")
    secret = entra.add_secret(blueprint).value
    credential = entra.credential(client_id=blueprint.client_id, client_secret=secret)
    return Agency(entra, blueprint, agent, user, credential)


def test_an_agent_acts_in_its_own_name(agency: Agency, get: Get) -> None:
    token = get(agency.agent_credential(), agency.entra.scope).token
    principal = agency.entra.guard().verify(token)
    assert (principal.app_id, principal.object_id) == (agency.agent.id, agency.agent.id)
    assert principal.roles == ("Orders.Read",)
    assert principal.agent is not None
    assert (principal.agent.kind, principal.agent.blueprint) == ("autonomous", agency.blueprint.client_id)


@pytest.mark.parametrize("by", ["id", "upn"])
def test_an_agent_acts_with_its_user_account(agency: Agency, get: Get, by: str) -> None:
    credential = agency.agent_credential(getattr(agency.user, by))
    principal = agency.entra.guard().verify(get(credential, agency.scope).token)
    assert principal.agent is not None
    assert (principal.agent.kind, principal.object_id) == ("agent_user", agency.user.id)
    refused = Requirement(users_only=True).refusal_of(principal)
    assert refused is not None
    assert refused.reason == "agent_not_allowed"


def test_an_agent_acts_for_a_signed_in_user(agency: Agency, get: Get) -> None:
    sent = agency.entra.issue_token(agency.blueprint, user="alice", scopes=["access_agent"])
    credential = OnBehalfOfCredential(agency.agent_credential(), sent)
    principal = agency.entra.guard().verify(get(credential, agency.scope).token)
    assert principal.agent is not None
    assert (principal.agent.kind, principal.agent.on_behalf_of) == ("for_user", principal.object_id)
    assert Requirement(users_only=True).refusal_of(principal) is None


def test_steps_are_sent_once_and_their_tokens_kept(agency: Agency) -> None:
    credential = agency.agent_credential(agency.user.upn)
    with agency.entra.expect_token_requests(3), ThreadPoolExecutor(8) as pool:
        tokens = set(pool.map(lambda _: credential.get_token(agency.scope).token, range(16)))
    assert len(tokens) == 1
    with agency.entra.expect_token_requests(1):
        credential.get_token(f"{agency.entra.api.app_id_uri}/.default")
    agency.entra.advance(3000)  # the steps' tokens are renewed with the agent's
    with agency.entra.expect_token_requests(3):
        credential.get_token(agency.scope, claims='{"access_token":{}}')


def test_a_kept_token_that_is_refused_is_requested_again(agency: Agency) -> None:
    credential = agency.agent_credential()
    credential.get_token(agency.entra.scope)
    agency.entra.rotate_keys(overlap=False)
    with agency.entra.expect_token_requests(3):  # T1 refused, a new T1, the agent's token
        credential.get_token(agency.entra.scope, claims='{"access_token":{}}')


def test_an_error_of_the_blueprint_is_the_agents_and_shows_no_token(agency: Agency) -> None:
    wrong = agency.entra.credential(client_id=agency.blueprint.client_id, client_secret="not-the-secret-1")
    with pytest.raises(TokenAcquisitionError) as caught:
        AgentCredential(wrong, agency.agent.id).get_token(agency.entra.scope)
    assert caught.value.codes == (7000215,)
    assert "not-the-secret-1" not in str(caught.value)


def test_only_the_own_blueprint_and_the_own_agent_get_tokens(agency: Agency) -> None:
    entra = agency.entra
    other = entra.register_app("Others", is_blueprint=True)
    foreign = entra.credential(client_id=other.client_id, client_secret=entra.add_secret(other).value)
    stranger = entra.add_agent("Stranger", other)
    for credential in (
        AgentCredential(foreign, agency.agent.id),  # another blueprint's agent
        AgentCredential(foreign, stranger.id, agency.user.upn),  # another agent's account
        AgentCredential(agency.credential, agency.agent.id, "alice@contoso.onmicrosoft.com"),  # a person
    ):
        with pytest.raises(TokenAcquisitionError) as caught:
            credential.get_token(agency.scope if credential.user else entra.scope)
        assert caught.value.codes in {(700213,), (50034,)}, caught.value
    with pytest.raises(TokenAcquisitionError):  # a secret of the blueprint is none of the agent's
        entra.credential(client_id=agency.agent.id, client_secret=entra.add_secret(other).value).get_token(
            entra.scope
        )


def test_a_copy_of_the_credential_works(agency: Agency) -> None:
    credential = agency.agent_credential()
    copy = pickle.loads(pickle.dumps(AgentCredential(_plain(), agency.agent.id)))
    assert repr(copy) == repr(AgentCredential(_plain(), agency.agent.id))
    assert "agent_id" in repr(credential)
    assert agency.agent.id in str(credential.health()["credential"])


def _plain() -> Any:
    environ = {
        "AZURE_TENANT_ID": "aaaabbbb-0000-cccc-1111-dddd2222eeee",
        "AZURE_CLIENT_ID": "00001111-aaaa-2222-bbbb-3333cccc4444",
        "AZURE_CLIENT_SECRET": "wn~8Q~kT3x.V_pZ5qR7sL0mN2bY4cD6fG8hJ1",
    }
    return EnvironmentCredential(environ)


AGENT = "22223333-cccc-4444-dddd-5555eeee6666"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((ManagedIdentityCredential(), AGENT), "an agent needs a credential with a client secret"),
        ((_plain(), "sales assistant"), "agent_id must be"),
        ((_plain(), None), "agent_id must be"),
        ((_plain(), "00001111-AAAA-2222-bbbb-3333cccc4444"), "client id of the blueprint"),
        ((AgentCredential(_plain(), AGENT), AGENT.replace("2222", "3333", 1)), "give the credential of its"),
        ((ChainedCredential(_plain()), AGENT, "alice"), "user must be"),
        ((_plain(), AGENT, ""), "user must be"),
        ((_plain(), AGENT, "@"), "user must be"),
        ((_plain(), AGENT, "sales assistant@contoso.com"), "user must be"),
        ((_plain(), AGENT, "assistant@contoso.com\r\nforged"), "user must be"),
        ((_plain(), AGENT, "assistant\x1b[2J@contoso.com"), "user must be"),
    ],
)
def test_arguments_that_cannot_be_meant_are_refused(arguments: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        AgentCredential(*arguments)


def test_an_agent_with_a_user_account_acts_for_no_signed_in_user() -> None:
    with pytest.raises(ConfigurationError, match="AgentCredential without user"):
        OnBehalfOfCredential(AgentCredential(_plain(), AGENT, "assistant@contoso.com"), "a.b.c")


@pytest.mark.parametrize(
    ("authority", "exchange"),
    [
        ("public", "api://AzureADTokenExchange/.default"),
        ("us-government", "api://AzureADTokenExchangeUSGov/.default"),
        ("china", "api://AzureADTokenExchangeChina/.default"),
    ],
)
def test_each_cloud_has_its_own_token_exchange(authority: str, exchange: str) -> None:
    ids = ("aaaabbbb-0000-cccc-1111-dddd2222eeee", "00001111-aaaa-2222-bbbb-3333cccc4444")
    blueprint = ClientAssertionCredential(*ids, lambda: "x", authority=authority)
    requested: list[Any] = []

    def refuse(_grant: Any, scopes: Any, *_more: Any) -> Any:
        requested.append(scopes)
        raise TokenAcquisitionError("No token.", error="invalid_client")

    blueprint._request_grant = refuse  # type: ignore[method-assign]
    with pytest.raises(TokenAcquisitionError):
        AgentCredential(blueprint, AGENT).get_token("api://orders/.default")
    assert requested == [(exchange,)]


def test_msal_gets_the_same_tokens(agency: Agency) -> None:
    msal = pytest.importorskip("msal")
    web = _MsalHttp(agency.entra.http_client)
    options = {
        "authority": agency.entra.authority.replace("http:", "https:"),
        "instance_discovery": False,
        "http_client": web,
    }
    secret = agency.entra.add_secret(agency.blueprint).value
    blueprint = msal.ConfidentialClientApplication(agency.blueprint.client_id, secret, **options)
    exchange = ["api://AzureADTokenExchange/.default"]
    t1 = blueprint.acquire_token_for_client(exchange, fmi_path=agency.agent.id)["access_token"]
    claims = jwt.decode(t1, options={"verify_signature": False})
    assert (claims["azp"], claims["idtyp"]) == (agency.blueprint.client_id, "app")
    assert claims["sub"].startswith("/eid1/c/pub/t/")
    assert claims["sub"].endswith(f"/{agency.agent.id}")
    assertion = {"client_assertion": lambda: t1}
    agent = msal.ConfidentialClientApplication(agency.agent.id, assertion, **options)
    own = agent.acquire_token_for_client([agency.entra.scope])["access_token"]
    t2 = agent.acquire_token_for_client(exchange)["access_token"]
    users = agent.acquire_token_by_user_federated_identity_credential(
        [agency.scope], assertion=t2, username=agency.user.upn
    )
    guard = agency.entra.guard()
    agents = [guard.verify(token).agent for token in (own, users["access_token"])]
    assert [agent and agent.kind for agent in agents] == ["autonomous", "agent_user"]


class _MsalHttp:
    """msal's interface of an HTTP client, on an httpx client. msal accepts https authorities only."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def get(self, url: str, **more: Any) -> Any:
        return self._answer(self._client.get(self._plain(url), **self._known(more)))

    def post(self, url: str, **more: Any) -> Any:
        return self._answer(self._client.post(self._plain(url), **self._known(more)))

    def close(self) -> None:
        pass

    @staticmethod
    def _plain(url: str) -> str:
        return url.replace("https:", "http:", 1)

    @staticmethod
    def _known(more: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in more.items() if name in {"params", "data", "headers"}}

    @staticmethod
    def _answer(response: httpx.Response) -> Any:
        class Answer(NamedTuple):
            status_code: int
            text: str
            headers: Any

            def raise_for_status(self) -> None:
                pass

        return Answer(response.status_code, response.text.replace("http://", "https://"), response.headers)


def test_graph_creates_agents(agency: Agency) -> None:
    entra = agency.entra
    manager = entra.register_app("Manager", identifier_uris=())
    roles = ("Application.ReadWrite.All", "AgentIdUser.ReadWrite.IdentityParentedBy")
    entra.grant(manager, GRAPH, *roles)

    def post(app: AppRegistration, path: str, **body: Any) -> httpx.Response:
        token = entra.issue_token(app, audience=GRAPH)
        headers = {"Authorization": f"Bearer {token}"}
        return entra.http_client.post(f"{entra.url}/v1.0{path}", json=body, headers=headers)

    made = post(manager, "/applications/microsoft.graph.agentIdentityBlueprint", displayName="B")
    assert made.status_code == 201
    blueprint_id = made.json()["appId"]
    assert made.json()["id"] == blueprint_id
    principals = "/servicePrincipals/Microsoft.Graph.AgentIdentityBlueprintPrincipal"
    assert post(manager, principals, appId=blueprint_id).status_code == 201
    assert post(manager, principals, appId=manager.client_id).status_code == 400
    blueprint = entra.find_app(blueprint_id)
    agents = "/servicePrincipals/microsoft.graph.agentIdentity"
    wanted = {"displayName": "A", "agentIdentityBlueprintId": blueprint_id}
    agent = post(blueprint, agents, **wanted).json()
    assert (agent["agentIdentityBlueprintId"], agent["servicePrincipalType"]) == (
        blueprint_id,
        "ServiceIdentity",
    )
    assert agent["id"] == agent["appId"]
    assert post(agency.blueprint, agents, **wanted).status_code == 403  # another blueprint's
    assert post(manager, agents, **wanted).status_code == 403
    account = {"userPrincipalName": "a.agent@contoso.onmicrosoft.com", "identityParentId": agent["id"]}
    assert post(manager, "/users/microsoft.graph.agentUser", **account).status_code == 201
    assert post(manager, "/users/microsoft.graph.agentUser", **account).status_code == 400


def test_the_control_api_adds_agents(agency: Agency) -> None:
    entra = agency.entra
    body = {"name": "A", "blueprint": agency.blueprint.client_id, "user": "another.agent"}
    made = entra.http_client.post(f"{entra.url}/_emu/agents", json=body).json()
    assert AgentCredential(agency.credential, made["id"], made["upn"]).user == made["upn"]
    state = entra.http_client.get(f"{entra.url}/_emu/state").json()
    assert made["id"] in {agent["id"] for agent in state["agents"]}
    body["blueprint"] = entra.api.client_id
    assert entra.http_client.post(f"{entra.url}/_emu/agents", json=body).status_code == 400


def test_an_agents_account_cannot_sign_in_and_a_removed_blueprint_takes_its_agents(agency: Agency) -> None:
    entra = agency.entra
    page = entra.register_app("Page", identifier_uris=(), redirect_uris=["http://localhost/"])
    query = f"client_id={page.client_id}&response_type=code&scope=openid&redirect_uri=http://localhost/"
    picker = entra.http_client.get(f"{entra.authority}/oauth2/v2.0/authorize?{query}")
    assert "alice" in picker.text
    assert "sales.assistant" not in picker.text
    with pytest.raises(RegistrationError, match="is not an agent identity blueprint"):
        entra.add_agent("A", page)
    entra.revoke(agency.agent)
    entra.remove_app(agency.blueprint)
    assert not entra.directory.agents
    with pytest.raises(TokenAcquisitionError):
        agency.agent_credential().get_token(entra.scope)


@pytest.mark.parametrize(
    ("user", "kind"), [(None, "autonomous"), ("alice", "for_user"), ("sales.assistant", "agent_user")]
)
def test_a_token_issued_for_an_agent_directly_is_an_agents(
    agency: Agency, user: str | None, kind: str
) -> None:
    scopes = ["access_as_user"] if user else None
    token = agency.entra.issue_token(agency.agent, audience=agency.entra.api, user=user, scopes=scopes)
    agent = agency.entra.guard().verify(token).agent
    assert agent is not None
    assert (agent.kind, agent.blueprint) == (kind, agency.blueprint.client_id)
