"""Nothing that a token endpoint, Microsoft Graph or a challenge sends can forge, break or hide a log line."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import httpx
from hypothesis import given, settings
from log_checks import assert_clean, collected_logs, hostile_text

from entra_guard.credentials import ClientSecretCredential, ManagedIdentityCredential
from entra_guard.errors import EntraGuardError
from entra_guard.graph import GroupResolver
from entra_guard.testing import Entra

IDS = ("aaaabbbb-0000-cccc-1111-dddd2222eeee", "11112222-bbbb-3333-cccc-4444dddd5555")
few = settings(max_examples=10)
ENTRA = Entra(seed=7)


def responses(text: str) -> list[httpx.Response]:
    latin = text.encode("ascii", "replace").decode().replace("\n", " ").replace("\r", " ").strip() or "x"
    error: dict[str, Any] = {
        "error": text,
        "error_description": text,
        "error_codes": [text],
        "correlation_id": text,
        "trace_id": text,
        "claims": text,
        "suberror": text,
    }
    graph = {"error": {"code": text, "message": text, "innerError": {"request-id": text}}}
    return [
        httpx.Response(400, json=error),
        httpx.Response(429, json=error, headers={"retry-after": latin, "date": latin}),
        httpx.Response(403, json=graph, headers={"request-id": latin}),
        httpx.Response(200, json={"access_token": text, "expires_in": text, "token_type": text}),
        httpx.Response(200, json={"access_token": "t", "expires_in": text}),
        httpx.Response(200, json={"value": text, "@odata.nextLink": text}),
        httpx.Response(200, content=text.encode(), headers={"content-type": latin}),
        httpx.Response(302, headers={"location": latin}),
        httpx.Response(401, headers={"www-authenticate": latin}, json=graph),
    ]


@given(text=hostile_text)
@few
def test_what_a_token_endpoint_sends_is_escaped(text):
    for response in responses(text):
        client = httpx.Client(transport=httpx.MockTransport(lambda _request, response=response: response))
        for credential in (
            ClientSecretCredential(*IDS, "a-secret", http_client=client),
            ManagedIdentityCredential(client_id=IDS[1], http_client=client, environ={}),
        ):
            with collected_logs() as records, suppress(EntraGuardError):
                credential.get_token("api://orders/.default")
            assert_clean(records)


@given(text=hostile_text)
@few
def test_what_microsoft_graph_sends_is_escaped(text):
    token = ENTRA.token(user="alice", scopes=["access_as_user"], claims={"_claim_names": {"groups": "src1"}})
    daemon = ENTRA.register_app("A daemon")
    secret = ENTRA.add_secret(daemon)
    with httpx.Client(transport=ENTRA.transport) as web:
        credential = ClientSecretCredential(
            ENTRA.tenant_id, daemon.client_id, secret.value, authority=ENTRA.url, http_client=web
        )
        for response in responses(text):
            client = httpx.Client(transport=httpx.MockTransport(lambda _request, response=response: response))
            groups = GroupResolver(credential, base_url=ENTRA.url, http_client=client, tries=1)
            guard = ENTRA.guard(groups=groups)
            with collected_logs() as records:
                report = report_of(guard, token)
            assert_clean(records)
            assert report.isascii()
            assert report.isprintable()


def report_of(guard: Any, token: str) -> str:
    try:
        guard.verify(token)
    except EntraGuardError as error:
        return error.report() if hasattr(error, "report") else ascii(error)
    return ""


def test_the_responses_of_this_test_are_hostile():
    assert "\x1b" in json.loads(responses("\x1b")[0].content)["error"]
