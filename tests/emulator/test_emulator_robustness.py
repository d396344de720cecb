"""No input causes a server error."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entra_guard.emulator import CONTOSO, FABRIKAM, GRAPH, Emulator
from entra_guard.emulator._directory.rules import RegistrationError
from entra_guard.emulator._graph.endpoints import all_endpoints
from entra_guard.emulator._http.messages import Request
from entra_guard.emulator._oauth.token_endpoint import GRANTS
from entra_guard.emulator._routes import ROUTES
from entra_guard.emulator._store.state_file import decode_state, encode_state

PLACEHOLDER = re.compile(r"\{\w+\*?\}")
CALLBACK = "https://app.example/cb"


@pytest.fixture(scope="module")
def known() -> tuple[Emulator, dict[str, list[str]]]:
    """An emulator with some of everything, and values that exist in it."""
    entra = Emulator(seed=1)
    api = entra.register_app("Orders", app_roles=["Read"], scopes=["use"])
    app = entra.register_app("App", redirect_uris=[CALLBACK], accounts="AzureADMultipleOrgs", client_id=None)
    spa = entra.register_app("Page", spa_redirect_uris=["https://page.example/"], public_client=True)
    secret = entra.add_secret(app).value
    entra.add_federated_credential(app, entra.workload_issuer, "job")
    entra.add_managed_identity("vm")
    entra.grant_delegated(app, api, "use")
    user = entra.find_user("alice")
    assertions = [
        entra.workload_token("job"),
        entra.issue_token(api, audience=app, user="alice"),
        "x.y.z",
        "e30.e30.",
    ]
    names = {
        "client_id": [app.client_id, spa.client_id, api.client_id, GRAPH],
        "client_secret": [secret, "wrong"],
        "client_assertion": assertions,
        "client_assertion_type": ["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"],
        "assertion": assertions,
        "requested_token_use": ["on_behalf_of"],
        "grant_type": [*GRANTS, "password"],
        "scope": [
            api.default_scope,
            f"{api.app_id_uri}/use openid offline_access",
            "openid",
            "User.Read",
            "/",
            "a/b c/d",
        ],
        "resource": [api.app_id_uri, "https://graph.microsoft.com"],
        "code": [entra.sign_in(app, scope=f"{api.app_id_uri}/use"), "x"],
        "refresh_token": ["x"],
        "device_code": ["x"],
        "redirect_uri": [CALLBACK, "https://page.example/", "http://[", "//"],
        "response_type": ["code", "id_token"],
        "response_mode": ["query", "fragment", "form_post", "x"],
        "prompt": ["none", "login"],
        "login_hint": ["alice"],
        "user": [user.id],
        "decision": ["accept", "cancel"],
        "claims": ['{"access_token":{"xms_cc":{"values":["cp1"]}}}', "[1]", "{", '{"access_token":7}'],
        "code_challenge_method": ["S256", "x"],
        "auto": ["1"],
        "authorization_endpoint": ["https://127.0.0.1/common/x", "http://[", "x"],
        "post_logout_redirect_uri": [CALLBACK, "http://["],
        "$filter": ["displayName eq 'x'", "("],
        "$top": ["1", "x"],
        "$skiptoken": ["AAAA", "é"],
    }
    return entra, names


WORDS = ["common", "organizations", "consumers", CONTOSO, FABRIKAM, "nowhere", "%", "é"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
GRAPH_NAMES = ["displayName", "appRoles", "api", "web", "optionalClaims", "requiredResourceAccess", "appId"]
GRAPH_NAMES += [
    "passwordCredential",
    "keyCredentials",
    "keyCredential",
    "proof",
    "keyId",
    "audiences",
    "issuer",
]
GRAPH_NAMES += [
    "identifierUris",
    "signInAudience",
    "principalId",
    "resourceId",
    "requests",
    "groupMembershipClaims",
]


@settings(max_examples=300)
@given(data=st.data())
def test_no_form_or_query_causes_a_server_error(
    known: tuple[Emulator, dict[str, list[str]]], data: st.DataObject
) -> None:
    entra, names = known
    route = data.draw(st.sampled_from(ROUTES))
    path = PLACEHOLDER.sub(lambda _: data.draw(st.sampled_from(WORDS)), route.path)
    chosen = data.draw(st.lists(st.sampled_from(sorted(names)), unique=True, max_size=12))
    fields = {name: data.draw(st.sampled_from(names[name]) | st.text(max_size=12)) for name in chosen}
    before = entra.snapshot()
    response = entra.request_handler.respond(
        Request(
            method="GET" if route.method == "*" else route.method,
            scheme="http",
            host="localhost",
            path=path,
            query=urlencode(fields),
            headers=data.draw(
                st.sampled_from([{}, {"origin": "https://page.example"}, {"authorization": "Basic x"}])
            ),
            body=urlencode(fields).encode(),
        )
    ).response
    entra.restore(before)
    assert response.status < 500


@settings(max_examples=300)
@given(data=st.data())
def test_no_json_causes_a_server_error_in_graph(known: tuple[Emulator, Any], data: st.DataObject) -> None:
    entra, names = known
    endpoint = data.draw(st.sampled_from(all_endpoints()))
    app = entra.find_app(names["client_id"][0])
    objects = [app.object_id, app.service_principal_id, app.client_id, names["user"][0], "x"]
    path = PLACEHOLDER.sub(lambda _: data.draw(st.sampled_from(objects)), endpoint.full_path)
    body = data.draw(st.dictionaries(st.sampled_from(GRAPH_NAMES) | st.text(max_size=4), JSON, max_size=6))
    token = entra.issue_token(app, audience=GRAPH, roles=endpoint.roles)
    before = entra.snapshot()
    response = entra.request_handler.respond(
        Request(
            method=endpoint.method,
            scheme="http",
            host="localhost",
            path=path,
            headers={"authorization": f"Bearer {token}"},
            body=data.draw(st.sampled_from([json.dumps(body).encode(), b"", b"[", b"[" * 100_000])),
        )
    ).response
    assert decode_state(encode_state(entra.store.state)), "a state that is kept can be read again"
    entra.restore(before)
    assert response.status < 500


@given(
    st.sampled_from(["GET", "POST", "PUT", "OPTIONS", "HEAD", "BREW"]),
    st.text(max_size=30),
    st.text(max_size=20),
)
def test_no_method_path_or_host_causes_a_server_error(method: str, path: str, host: str) -> None:
    entra = Emulator()
    for where in ("localhost", host):
        assert entra.request_handler.respond(Request(method, "http", where, f"/{path}")).response.status < 500


@pytest.mark.parametrize("path", ["/v1.0/applications", "/_emu/identities"])
def test_half_of_a_surrogate_pair_is_refused_in_json_because_no_file_can_hold_it(path: str) -> None:
    entra = Emulator()
    client = entra.register_app("Client", permissions={GRAPH: ["role:Application.ReadWrite.All"]})
    entra.grant(client, GRAPH, "Application.ReadWrite.All")
    token = entra.issue_token(client, audience=GRAPH)
    before = entra.directory
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    name = "displayName" if path.startswith("/v1.0") else "name"
    body = json.dumps({name: "a\udc00"}).encode()
    request = Request("POST", "http", "localhost", path, headers=headers, body=body)
    assert entra.request_handler.respond(request).response.status == 400
    assert entra.directory is before
    assert encode_state(entra.store.state), "the state can be written"


NUMBERS = st.sampled_from([True, "x", 1.5, -1, 0, 1, float("nan"), float("inf"), 1e300, [], None])


@settings(max_examples=200)
@given(
    st.sampled_from(["identities", "faults", "clock"]),
    st.dictionaries(
        st.sampled_from(
            [
                "name",
                "tenant",
                "system_assigned",
                "times",
                "delay",
                "retry_after",
                "seconds",
                "freeze",
                "advance",
            ]
        ),
        NUMBERS,
        max_size=2,
    ),
)
def test_no_value_of_the_control_api_breaks_a_later_response_or_the_state_file(
    path: str, values: dict[str, Any]
) -> None:
    entra = Emulator()
    known = {"identities": {"name": "vm"}, "faults": {"target": "keys", "how": "503"}}.get(path, {})
    body = json.dumps({**known, **values}).encode()
    json_sent = {"content-type": "application/json"}
    request = Request("POST", "http", "localhost", f"/_emu/{path}", headers=json_sent, body=body)
    assert entra.request_handler.respond(request).response.status < 500
    keys = Request("GET", "http", "localhost", "/common/discovery/keys")
    assert entra.request_handler.respond(keys).response.status in {200, 503}
    assert decode_state(encode_state(entra.store.state)), "a state that is kept can be read again"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("token", {"client": []}),
        ("token", {"client": {}, "tenant": 5}),
        ("clock", {"advance": 10**400}),
        ("clock", {"freeze": 10**400}),
        ("faults", {"target": "keys", "how": "503", "delay": 10**400}),
    ],
)
def test_a_value_of_another_type_or_too_large_is_refused_by_the_control_api(path: str, body: Any) -> None:
    entra = Emulator()
    before = entra.store.state
    json_sent = {"content-type": "application/json"}
    content = json.dumps(body).encode()
    request = Request("POST", "http", "localhost", f"/_emu/{path}", headers=json_sent, body=content)
    assert entra.request_handler.respond(request).response.status == 400
    assert entra.store.state is before


@pytest.mark.parametrize("version", [True, 2.0, "2", [2]])
def test_a_token_version_of_another_type_is_refused(version: Any) -> None:
    with pytest.raises(RegistrationError, match="token_version="):
        Emulator().register_app("Orders", token_version=version)


@pytest.mark.parametrize("name", ["", " ", "\t"])
def test_a_name_without_visible_characters_is_refused(name: str) -> None:
    entra = Emulator()
    for add in (entra.register_app, entra.add_group, entra.add_managed_identity):
        with pytest.raises(RegistrationError, match=r"name is empty|not only white space"):
            add(name)
    with pytest.raises(RegistrationError, match="name is empty"):
        entra.add_user("zoe", display_name=name or " ")


@given(
    JSON,
    st.sampled_from(
        ["token", "keys/rotate", "keys/withdraw", "clock", "faults", "faults/clear", "reset", "identities"]
    ),
)
@settings(max_examples=100)
def test_no_json_causes_a_server_error_in_the_control_api(body: Any, path: str) -> None:
    entra = Emulator()
    request = Request(
        "POST",
        "http",
        "localhost",
        f"/_emu/{path}",
        headers={"content-type": "application/json"},
        body=json.dumps(body).encode(),
    )
    assert entra.request_handler.respond(request).response.status < 500
