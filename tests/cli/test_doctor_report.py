"""The report of `doctor`: aligned, wrapped on a terminal, whole lines in a pipe, and checks of odd facts."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from entra_guard import Guard
from entra_guard.cli._screen import Screen, folded
from entra_guard.cli.doctor._facts import Address, Facts, NetworkFacts, SettingsFacts, TlsFacts
from entra_guard.cli.doctor._finding import Check, failure, ok, skipped, warning
from entra_guard.cli.doctor._registry import Line, _run, run_checks
from entra_guard.cli.doctor._report import as_json, show_report
from entra_guard.cli.doctor._settings import Variable, settings_of_guard, settings_of_variables

COMMAND = (
    "az ad app update --id 11112222-bbbb-3333-cccc-4444dddd5555 --identifier-uris https://tasks.example/mcp"
)
ROUTE = "GET POST  /orders/{order_id:int}/positions/{position_id:int}/comments  scope Orders.Read.All"
LINES = [
    Line("network", "DNS", ok("login.microsoftonline.com: IPv4 20.190.160.1, IPv6 2603:1026:3000::1")),
    Line("network", "clock", warning("this host's clock is 40 s behind", "timedatectl set-ntp true")),
    Line(
        "authority", "keys", failure(" ".join(["words"] * 40), COMMAND, "Portal: a > long > " + "path " * 20)
    ),
    Line("authority", "cloud", skipped("offline")),
    Line("application", "routes", replace(ok("1 route, 1 needs a token"), details=(ROUTE,))),
]


def printed(*, terminal: bool, width: int = 80) -> list[str]:
    written = io.StringIO()
    console = Console(
        file=written, force_terminal=terminal, color_system=None, width=width, highlight=False, _environ={}
    )
    screen = Screen(console)
    screen.plain = not terminal
    show_report(screen, LINES)
    return written.getvalue().splitlines()


def test_no_line_is_wider_than_the_terminal() -> None:
    assert [line for line in printed(terminal=True) if len(line) > 80] == []


def test_a_wrapped_command_can_be_copied() -> None:
    text = "\n".join(printed(terminal=True))
    assert COMMAND in " ".join(text.replace("\\\n", " ").split())


def test_findings_are_aligned() -> None:
    lines = printed(terminal=True)
    starts = {line.index(word) for line in lines for word in ("login.", "this host's") if word in line}
    assert len(starts) == 1


def test_the_scheme_of_a_url_stays_with_its_host() -> None:
    for width in range(28, 60):
        lines = folded(
            "a token for https://graph.microsoft.com, and https://login.example/tenant/v2.0", width
        )
        assert not [line for line in lines if line.endswith("://")]
    assert folded("https://login.example/tenant/v2.0", 24) == ["https://login.example/", "tenant/v2.0"]


def test_a_pipe_gets_whole_lines(capsys: pytest.CaptureFixture[str]) -> None:
    copied = io.StringIO()
    show_report(Screen(Console(file=copied, force_terminal=False, highlight=False)), LINES)
    lines = capsys.readouterr().out.splitlines()
    assert any(line.count("words") == 40 for line in lines)
    assert any(line.strip() == ROUTE for line in copied.getvalue().splitlines())
    assert not [line for line in lines if not line.isascii()]


def test_the_summary_counts_each_state() -> None:
    assert printed(terminal=True)[-1] == "  1 failed, 1 with a warning, 2 ok, 1 not checked"
    assert '"failure": 1' in as_json(LINES)


def facts(network: NetworkFacts) -> Facts:
    guard = Guard(tenant="contoso.com", audience="11112222-bbbb-3333-cccc-4444dddd5555")
    return Facts(1_800_000_000.0, offline=False, settings=settings_of_guard(guard, "g"), network=network)


def tls(**found: object) -> NetworkFacts:
    known = {"trust": "certifi's certificates", "version": "TLSv1.3", "issuer": "DigiCert Inc", "ends": 1.9e9}
    return NetworkFacts("login.microsoftonline.com", 443, tls=TlsFacts(**(known | found)))


V4, V6 = Address("IPv4", "192.0.2.1"), Address("IPv6", "2001:db8::1", "no connection within 2 s")
NO_V6 = Address("IPv6", "2001:db8::1", "Network is unreachable", no_route=True)


@pytest.mark.parametrize(
    ("network", "check", "state", "says"),
    [
        (NetworkFacts("h", 443, (V4,), dns_seconds=5.0), "DNS", "warning", "the resolver took 5.0 s"),
        (NetworkFacts("h", 443, (V4, V6)), "connection", "warning", "by IPv4 only. IPv6: no connection"),
        (NetworkFacts("h", 443, (V4, NO_V6)), "connection", "ok", "this host has no IPv6 route"),
        (NetworkFacts("h", 443, (NO_V6,)), "connection", "failure", "Network is unreachable"),
        (tls(), "TLS", "ok", "issued by 'DigiCert Inc', ends in 1157 days"),
        (tls(issuer="Contoso Inspection"), "TLS", "warning", "TLS is inspected"),
        (tls(ends=1_800_100_000.0), "TLS", "warning", "ends in 28 h"),
        (tls(error="certificate has expired"), "TLS", "failure", "certificate has expired"),
        (tls(error="Hostname mismatch"), "TLS", "failure", "Hostname mismatch"),
    ],
)
def test_network_facts_become_findings(network: NetworkFacts, check: str, state: str, says: str) -> None:
    (found,) = [line.finding for line in run_checks(facts(network)) if line.name == check]
    assert (found.state, says in found.found) == (state, True), found
    assert found.fix or state == "ok"


def test_the_certificates_that_were_presented_are_listed() -> None:
    chain = ("login.microsoftonline.com", "DigiCert SHA2 Secure Server CA")
    (found,) = [line.finding for line in run_checks(facts(tls(chain=chain))) if line.name == "TLS"]
    assert found.details == chain


def test_a_response_of_an_unexpected_form_does_not_end_the_report() -> None:
    def broken(_facts: Facts) -> None:
        raise KeyError("appId")

    found = _run(Check("registration", "roles", broken), Facts(0.0, offline=True, settings=SettingsFacts(())))
    assert found is not None
    assert (found.state, found.found) == ("failure", "a response has an unexpected form (KeyError)")


def test_the_tenant_of_azures_variable_is_not_shown_for_a_b2c_policy() -> None:
    policy = "https://contoso.b2clogin.com/contoso.onmicrosoft.com/B2C_1_susi"
    values = {"ENTRA_GUARD_AUDIENCE": "11112222-bbbb-3333-cccc-4444dddd5555", "ENTRA_GUARD_AUTHORITY": policy}
    values["AZURE_TENANT_ID"] = "aaaabbbb-0000-cccc-1111-dddd2222eeee"
    found, guard = settings_of_variables({name: Variable(value, name) for name, value in values.items()}, {})
    assert guard
    [tenant] = [row for row in found.settings if row.name == "tenant"]
    assert (tenant.value, tenant.origin) == ("none", "this authority has none")
