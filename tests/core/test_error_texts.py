"""Error texts about settings are bounded: a very long value is shortened in its middle, and the remedy stays."""

import pickle

import pytest

from entra_guard import ConfigurationError, Guard
from entra_guard._escaping import shorten
from entra_guard.cli._errors import CliError
from entra_guard.credentials import ClientSecretCredential, ManagedIdentityCredential
from entra_guard.errors import TokenAcquisitionError
from entra_guard.graph import GraphClient

TENANT = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490"
HUGE = "x" * 100_000
LONGEST = 2000
GUARD = {"tenant": TENANT, "audience": "api://orders"}


@pytest.mark.parametrize(
    "build",
    [
        lambda: Guard(**GUARD | {"tenant": f"{HUGE} "}),
        lambda: Guard(**GUARD | {"audience": f"'{HUGE}'"}),
        lambda: Guard(**GUARD, authority=HUGE),
        lambda: Guard(**GUARD, roles=[HUGE, f"a {HUGE}"]),
        lambda: Guard(**GUARD, reasons_url=HUGE),
        lambda: Guard(**GUARD, leeway=HUGE),
        lambda: Guard(**GUARD, **{HUGE: 1}),
        lambda: Guard.from_env({"ENTRA_GUARD_TENANT": f"'{HUGE}'", "ENTRA_GUARD_AUDIENCE": "x"}),
        lambda: Guard.from_env({f"ENTRA_GUARD_{HUGE}": "1"}),
        lambda: ClientSecretCredential(HUGE + "/", TENANT, "secret"),
        lambda: ClientSecretCredential(TENANT, HUGE, "secret"),
        lambda: ClientSecretCredential(TENANT, TENANT, "secret", **{HUGE: 1}),
        lambda: ManagedIdentityCredential(HUGE),
        lambda: GraphClient(ClientSecretCredential(TENANT, TENANT, "secret"), cloud=HUGE),
    ],
)
def test_the_error_about_a_setting_is_short(build):
    with pytest.raises(ConfigurationError) as caught:
        build()
    assert 0 < len(str(caught.value)) <= LONGEST


def test_errors_of_tokens_and_of_the_command_line_are_short():
    assert len(str(TokenAcquisitionError(HUGE, error="x", hint=HUGE))) <= LONGEST
    assert len(CliError(HUGE, HUGE, HUGE).format_message()) <= 3 * (LONGEST + 10)
    assert len(CliError(f"{HUGE}\n").format_message()) <= LONGEST + 10


def test_a_shortened_error_has_both_ends_and_can_be_pickled():
    error = ConfigurationError(f"audience {HUGE!r} is not valid: use api://orders")
    assert str(error).startswith("audience 'xxx")
    assert str(error).endswith("xxx' is not valid: use api://orders")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize("longest", [10, 11, 2000])
def test_a_text_is_shortened_to_its_limit_and_not_before(longest):
    assert shorten("a" * longest, longest) == "a" * longest
    assert len(shorten("a" * (longest + 1), longest)) == longest
