"""No report of `entra-guard explain` has personal data, and one to share has no ids and hosts."""

from __future__ import annotations

import base64
import json
import re
from itertools import cycle, product
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from entra_guard import Authority, Guard, Requirement
from entra_guard.cli._explain_report import as_json, redacted, report_on, sensitive_values, unverified_claims
from entra_guard.cli._share import Redactor
from entra_guard.emulator import CONTOSO, Emulator

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result


CLAIMS = {
    "name": "Ada Lovelace",
    "email": "ada@example.com",
    "tenant_secret": "confidential",
    "sub": "pairwise-subject",
}


@pytest.mark.parametrize("options", [[], ["--share"], ["--json"], ["--json", "--share"]])
def test_no_report_has_a_person_or_an_unknown_claim(
    explain: Callable[..., Result], entra: Emulator, api: str, options: list[str]
) -> None:
    token = entra.issue_token(api, user="alice", scopes=["Orders.Read"], preset="expired", claims=CLAIMS)
    output = explain(token, *options).output
    for word in ("Ada", "ada@example.com", "confidential", *token.split(".")):
        assert word not in output, word
    if "--share" not in options:
        assert "name (personal)" in output


@pytest.mark.parametrize(
    ("preset", "options"),
    [
        (None, ["--share"]),
        ("wrong-aud", ["--share"]),
        ("other-tenant", ["--share"]),
        ("no-roles", ["--json", "--share"]),
        ("unknown-kid", ["--json", "--share"]),
    ],
)
def test_a_report_to_share_has_no_id_and_no_host(
    explain: Callable[..., Result], entra: Emulator, api: str, preset: str | None, options: list[str]
) -> None:
    token = entra.issue_token(api, roles=["Orders.Read"], preset=preset, claims={"sub": "pairwise-subject"})
    claims = unverified_claims(token)
    first, second = explain(token, *options).output, explain(token, *options).output
    for word in (api, CONTOSO, "entra.localhost", "pairwise-subject", claims["uti"], claims["oid"]):
        assert word not in first, word
    assert re.search(r"\bid-[0-9a-f]{8}\b", first)
    assert set(re.findall(r"id-[0-9a-f]{8}", first)).isdisjoint(re.findall(r"id-[0-9a-f]{8}", second))


IDS: dict[str, Any] = {
    "short": {"sub": "Ada"},
    "escaped": {"sub": "Jörg Zaphod"},
    "long": {"sub": f"Zaphod {'x' * 400}"},
    "groups by name": {"groups": ["CONTOSO\\Zaphod Admins"], "wids": ["Zaphod"]},
    "thumbprint": {"cnf": {"x5t#S256": "Zaphod1234567890"}},
    "not a URL": {"iss": "zaphod.example", "tid": "Zaphod"},
    "path of a URL": {"iss": "https://sts.windows.net/zaphod/", "idp": "https://x.example/zaphod"},
    "list": {"aud": ["zaphod-orders", "Ada"]},
    "another type": {"oid": {"a": ["Zaphod"]}, "azp": 1234567},
    "unknown words": {"ver": "Zaphod", "idtyp": "Zaphod", "acrs": ["Zaphod"], "exp": "Zaphod"},
    "another letter case": {"roles": ["API://ORDERS.ZAPHOD.EXAMPLE"], "aud": "api://orders.zaphod.example"},
}


@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize("options", [["--share"], ["--share", "--json"]])
def test_a_report_to_share_hides_ids_of_every_form(
    explain: Callable[..., Result], entra: Emulator, api: str, name: str, options: list[str]
) -> None:
    header, payload, signature = entra.issue_token(api, roles=["Orders.Read"]).split(".")
    claims = unverified_claims(f"{header}.{payload}.{signature}") | IDS[name]
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    output = explain(f"{header}.{payload}.{signature}", *options).output
    assert not re.search(r"zaphod|\bada\b|J.{,6}rg|1234567", output, re.IGNORECASE)


def test_no_log_line_is_beside_a_report_to_share(
    explain: Callable[..., Result], good: str, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route to 2001:db8::17 or fd00:1:2:3:4:5:6:7", request=request)

    done = explain(good, "--share", transport=httpx.MockTransport(refuse))
    assert done.exit_code == 3
    assert "no route to id-" in done.output
    assert not re.search("2001|fd00|" + CONTOSO, done.output)
    assert not caplog.records
    explain(good, transport=httpx.MockTransport(refuse))
    assert CONTOSO in caplog.text


def test_the_same_id_has_the_same_label_in_a_report_and_public_ids_stay() -> None:
    redactor = Redactor(["orders.example"])
    guid = "aaaabbbb-0000-cccc-1111-dddd2222eeee"
    one, other = (
        redactor.text(f"{guid} api://orders.example/x"),
        redactor.text(f"x {guid.upper()} orders.example"),
    )
    assert one.split()[0] == other.split()[1]
    assert one.split("/")[2] == other.split()[2]
    kept = (
        "https://graph.microsoft.com 00000003-0000-0000-c000-000000000000 https://login.microsoftonline.com/x"
    )
    assert redactor.text(kept) == kept
    assert "ada" not in redactor.text("ada.lovelace+x@contoso.example")
    hidden = redactor.prose(
        "proxy.corp.example:8080 refused 10.1.2.3 for /home/ada/keys.json, Orders.Read of x"
    )
    assert not [word for word in ("corp", "10.1.2.3", "ada", "keys.json") if word in hidden]
    assert redactor.text("roles Orders.Read, scope api://x/.default v2.0").count("Orders.Read") == 1


PERSONAL = {
    "address": "zaphod@heart.example",
    "address without a dot": "zaphod@heart",
    "id": "Deadbeef-0000-4000-8000-00000000CAFE",
    "id in a name": "Orders.deadbeef-0000-4000-8000-00000000cafe",
    "id without hyphens": "deadbeef00004000800000000000cafe",
    "domain and user": "HEART\\zaphod",
}
SHAPES: dict[str, Callable[[str], Any]] = {
    "text": lambda value: value,
    "list": lambda value: ["Orders.Read", value],
    "long list": lambda value: [*(f"Orders.Read.{number:013}" for number in range(11)), value],
    "words": lambda value: f"Orders.Read {value}",
    "long text": lambda value: f"{'Orders.Read ' * 24} {value}",
    "nested": lambda value: {"roles": [{"x": value}]},
    "name": lambda value: {value: ["Orders.Read"]},
}
CLAIM_NAMES = (
    *("aud", "iss", "iat", "exp", "tid", "ver", "idp", "azp", "appid", "azpacr", "oid", "sub"),
    *("idtyp", "roles", "scp", "acct", "acrs", "xms_cc", "groups", "wids", "uti", "cnf"),
    *("name", "upn", "email", "acr", "amr", "auth_time", "scope", "client_id", "cid", "tfp"),
    *("realm_access", "nonce", "jti"),
    *("extension_0f_department", "https://contoso.example/claims/team", "zaphod@heart.example"),
)
HEADER_NAMES = ("alg", "kid", "typ", "x5t", "jku", "crit", "cty")
NAMES = (*CLAIM_NAMES, *HEADER_NAMES)
OPENID_NAMES = ("iss", "sub", "aud", "scp", "scope", "client_id", "cid", "realm_access", "acr", "alg", "kid")


def shared(token: str, guard: Guard, requirement: Requirement | None = None) -> str:
    """Return the report to share about a token, as JSON: all that a report has."""
    report = report_on(token, guard, guard, requirement, 2**31)
    return as_json(redacted(report, Redactor(sensitive_values(token, guard, requirement)), token))


@pytest.mark.parametrize("shape", SHAPES)
def test_no_value_that_looks_personal_is_in_a_report_to_share(entra: Emulator, api: str, shape: str) -> None:
    idp = Authority.openid("https://idp.example", roles_claim=("realm_access", "roles"))
    # Each name with one of the forms, and those that a report shows most with all forms.
    shown = product(("roles", "scp", "acrs", "kid"), PERSONAL.values() if shape == "list" else ())
    with httpx.Client(transport=entra.transport) as http:
        ours = Guard(tenant=CONTOSO, audience=api, authority=entra.url, http_client=http)
        other = Guard(audience=api, authority=idp, http_client=http)
        cases = [
            *(
                (ours, name, mark)
                for name, mark in (*zip(NAMES, cycle(PERSONAL.values()), strict=False), *shown)
            ),
            *(
                (other, name, mark)
                for name, mark in zip(OPENID_NAMES, cycle(PERSONAL.values()), strict=False)
            ),
        ]
        for guard, name, mark in cases:
            value = SHAPES[shape](mark)
            role = mark if "\\" not in mark else "Orders.Read"
            required = Requirement(roles=[role, "Orders.Write"], scopes=["Orders.Use"])
            made = {"headers": {name: value}} if name in HEADER_NAMES else {"claims": {name: value}}
            output = shared(entra.issue_token(api, roles=["Orders.Read"], **made), guard, required)
            found = re.search(r"zaphod|heart|deadbeef|cafe\b", output, re.IGNORECASE)
            assert not found, (name, output[max(found.start() - 200, 0) : found.end() + 100])


def test_names_of_roles_and_scopes_stay_in_a_report_to_share(entra: Emulator, api: str) -> None:
    token = entra.issue_token(api, user="alice", scopes=["Orders.List"], roles=["Clerk", "zaphod@heart"])
    with httpx.Client(transport=entra.transport) as http:
        guard = Guard(tenant=CONTOSO, audience=api, authority=entra.url, http_client=http)
        output = shared(token, guard, Requirement(roles=["Orders.Read.All"]))
    assert all(word in output for word in ("Orders.List", "Clerk", "Orders.Read.All"))


def test_a_persons_name_is_hidden_where_another_claim_repeats_it(entra: Emulator, api: str) -> None:
    claims = {"name": "Zaphod Beeblebrox", "given_name": "Zaphod", "roles": ["Zaphod", "Zaphod Beeblebrox"]}
    with httpx.Client(transport=entra.transport) as http:
        guard = Guard(tenant=CONTOSO, audience=api, authority=entra.url, http_client=http)
        output = shared(entra.issue_token(api, claims=claims), guard)
    assert not re.search("zaphod|beeblebrox", output, re.IGNORECASE)


def test_the_ids_of_the_issuers_keys_are_hidden(entra: Emulator, api: str) -> None:
    with httpx.Client(transport=entra.transport) as http:
        guard = Guard(tenant=CONTOSO, audience=api, authority=entra.url, http_client=http)
        output = shared(entra.issue_token(api, roles=["Clerk"], preset="unknown-kid"), guard)
    assert "unknown_key" in output
    assert [key.kid for key in entra.keys if key.kid in output] == []
