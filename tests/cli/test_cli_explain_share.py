"""No report of `entra-guard explain` has personal data, and one to share has no ids and hosts."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from entra_guard.cli._explain_report import unverified_claims
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
