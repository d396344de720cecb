"""Values are readable on a terminal, and secrets are shortened."""

from __future__ import annotations

import io

import pytest

from entra_guard import Step
from entra_guard.cli._errors import CliError, as_cli_error
from entra_guard.cli._formatting import (
    format_step,
    format_time,
    format_times_in,
    format_value,
    relative_time,
    shorten_secret,
)
from entra_guard.errors import EntraGuardError, FetchError, TokenAcquisitionError


@pytest.mark.parametrize("length", [0, 1, 7, 8, 40, 1200])
@pytest.mark.parametrize("keep", [5, 24, 5000])
def test_at_most_an_eighth_of_a_secret_is_shown(length: int, keep: int) -> None:
    secret = "s" * length
    shown, _, rest = shorten_secret(secret, keep).partition("...")
    assert len(shown) <= length / 8
    assert rest == f" ({length} characters)"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("", "none"),
        ([], "none"),
        (["1.0", "2.0"], "1.0, 2.0"),
        ({"scp": "", "roles": ["Orders.Read"]}, "scp none, roles Orders.Read"),
        ({"exp": 1767268800.0, "iat": None}, "exp 1767268800, iat None"),
        (401, "401"),
    ],
)
def test_facts_are_formatted_without_brackets(value: object, text: str) -> None:
    assert format_value(value) == text


@pytest.mark.parametrize(
    "sent", ["a\nok FAKE", "\x1b]0;pwn\x07", "\u202eevil", "\u0430pi", ["x\r"], {"y\n": "z\n"}]
)
def test_untrusted_text_is_one_line_of_plain_ascii(sent: object) -> None:
    output = format_value(sent)
    assert output.isascii()
    assert output.isprintable()


def test_alternatives_are_joined_with_or() -> None:
    assert format_value(["1.0", "2.0"], " or ") == "1.0 or 2.0"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (3600, "in 60 min"),
        (-300, "5 min ago"),
        (7200, "in 2 h"),
        (-1, "1 s ago"),
        (86400 * 730, "in 730 days"),
    ],
)
def test_times_are_shown_relative_to_now(seconds: float, text: str) -> None:
    assert relative_time(seconds) == text


def test_times_are_utc() -> None:
    assert format_time(1767268800) == "2026-01-01 12:00:00 UTC"
    assert (
        format_times_in("nbf <= 2026-01-01T12:00:00Z < exp, 60 s leeway")
        == "nbf <= 12:00:00 < exp, 60 s leeway"
    )


@pytest.mark.parametrize(
    ("step", "shown"),
    [
        (Step("tenant", "pass", "a" * 36, "a" * 36), ("a" * 36, "")),
        (Step("signature", "pass", "valid", "valid"), ("valid", "")),
        (Step("audience", "fail", ["a", "b"], "c", "wrong_audience"), ("a or b", "c")),
        (Step("key", "fail", "a", "a", "unknown_key"), ("a", "a")),
        (
            Step("key origin", "pass", "http://a/v2.0 in b", "http://a/v2.0 in b"),
            ("issuer http://a/v2.0\ncloud b", ""),
        ),
        (Step("key", "open"), ("not checked", "")),
    ],
)
def test_a_step_shows_the_expected_and_the_found_value(step: Step, shown: tuple[str, str]) -> None:
    assert format_step(step) == shown


@pytest.mark.parametrize(
    ("error", "lines"),
    [
        (
            TokenAcquisitionError(
                "Entra refused.", error="invalid_client", codes=[7000215], hint="Send the secret's Value."
            ),
            ["Entra refused.", "  invalid_client, AADSTS7000215", "  Send the secret's Value."],
        ),
        (
            FetchError("dns", "https://login.example", "no such \x1b[2Jhost"),
            [
                "dns: no such \\x1b[2Jhost",
                "  https://login.example",
                "  Check the host's name, and this machine's network and DNS.",
            ],
        ),
    ],
)
def test_an_error_says_what_failed_then_the_code_then_what_to_do(
    error: EntraGuardError, lines: list[str]
) -> None:
    assert as_cli_error(error).message.splitlines() == lines


def test_an_error_is_wrapped_between_words_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", "60")
    guid = "7a5c0a91-0000-4000-8000-00000000a901"
    terminal, pipe = Terminal(), io.StringIO()
    error = CliError(
        f"The application {guid} has no credential that is valid today.", "AADSTS7000222", "Add one."
    )
    error.show(terminal)
    error.show(pipe)
    assert max(map(len, terminal.getvalue().splitlines())) <= 60
    assert guid in terminal.getvalue()
    assert len(terminal.getvalue().splitlines()) == 4
    assert len(pipe.getvalue().splitlines()) == 3
