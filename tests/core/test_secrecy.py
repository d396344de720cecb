"""No log record at any level, no repr, no answer and no error ever holds a token, its signature or a name."""

from __future__ import annotations

import logging
import pickle
import pydoc
import traceback

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

import entra_guard.credentials
from entra_guard import AccessError, FetchError
from entra_guard.asgi import GuardMiddleware
from entra_guard.errors import InsufficientPermissionError

PRESETS = [
    None,
    "expired",
    "wrong-aud",
    "forged",
    "tampered",
    "unknown-kid",
    "no-roles",
    "huge",
    "graph-token",
    "guest",
]


FOREIGN = "api://another"


def secrets_of(token: str) -> list[str]:
    _header, payload, signature = token.split(".")
    pieces = [token, payload, signature, signature[:24], payload[:24], payload[-24:]]
    return [piece for piece in pieces if len(piece) >= 20]


def leaks(text: str, token: str) -> list[str]:
    return [secret for secret in [*secrets_of(token), "Alice", "alice@"] if secret in text]


@pytest.fixture
def everything_logged(caplog):
    caplog.set_level(logging.DEBUG)
    return lambda: "\n".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_middleware_leaks_nothing(entra, everything_logged, preset):
    token = entra.token(preset=preset, scopes=["Orders.Read"], user="alice")
    app = Starlette()
    app.add_middleware(GuardMiddleware, guard=entra.guard())
    answer = TestClient(app).get(f"/orders/{preset}", headers={"Authorization": f"Bearer {token}"})
    assert not leaks(everything_logged(), token)
    assert not leaks(f"{answer.headers} {answer.text}", token)


@pytest.mark.parametrize("preset", PRESETS)
def test_errors_explanations_and_principals_leak_nothing(entra, preset):
    guard, token = entra.guard(), entra.token(preset=preset, scopes=["Orders.Read"], user="alice")
    explanation = guard.explain(token)
    from rich.pretty import pretty_repr

    shown = [repr(explanation), str(explanation), repr(guard), repr(guard.__dict__)]
    try:
        principal = guard.verify(token)
        shown += [repr(principal), str(principal), repr(principal.verified), pretty_repr(principal)]
    except AccessError as error:
        shown += [repr(error), str(error), repr(error.facts), repr(error.args)]
        shown += ["".join(traceback.format_exception(error)), repr(pickle.loads(pickle.dumps(error)))]
    assert not leaks("\n".join(shown), token)


@pytest.mark.parametrize(
    "header", ["{}", "Basic {}", "Token {}", "Bearer {} {}", "{} Bearer", "Bearer{}", "Bearer {},"]
)
def test_a_token_in_the_wrong_place_of_the_header_is_not_logged(entra, everything_logged, header):
    token = entra.token()
    app = Starlette()
    app.add_middleware(GuardMiddleware, guard=entra.guard())
    answer = TestClient(app).get("/", headers={"Authorization": header.format(token, token)})
    assert answer.status_code == 400
    assert not leaks(everything_logged(), token)


def test_a_request_cannot_forge_log_lines(entra, everything_logged):
    kid = "x\nWARNING:root:all is well"
    app = Starlette()
    app.add_middleware(GuardMiddleware, guard=entra.guard())
    TestClient(app).get("/", headers={"Authorization": f"Bearer {entra.token(headers={'kid': kid})}"})
    TestClient(app).get("/%0aWARNING:root:all%20is%20well", headers={})
    assert "\nWARNING:root" not in "\n".join(
        line.split(" {'name'")[0] for line in everything_logged().split("\n")
    )


def test_claims_show_no_names_however_they_are_printed(entra):
    from rich.pretty import pretty_repr

    from entra_guard._validation.claims import read_claims

    claims = read_claims(b'{"iss":"i","name":"Alice","email":"alice@contoso.com"}')
    assert "lice" not in repr(claims) + pretty_repr(claims)


def test_an_error_does_not_keep_undecodable_bytes(entra):
    with pytest.raises(AccessError) as caught:
        entra.guard().verify(
            entra.issue_raw({"typ": "JWT", "alg": "RS256", "kid": "k"}, b'{"aud":"Alice\xff"}')
        )
    error = caught.value
    while error is not None:
        assert "Alice" not in repr(vars(error)) + repr(getattr(error, "object", ""))
        error = error.__context__


@pytest.mark.parametrize("claim", ["iss", "aud", "ver", "azp", "tid"])
def test_a_token_cannot_forge_lines_of_an_explanation(entra, claim):
    forged = "x\x1b]0;owned\x07\nok   signature  found holds\naccepted"
    shown = str(entra.guard().explain(entra.token(claims={claim: forged})))
    assert "\x1b" not in shown
    assert "accepted" not in shown.split("\n")


def test_refused_tokens_are_not_kept_in_memory(entra):
    import tracemalloc

    guard = entra.guard()
    guard.verify(entra.token())
    junk = [
        entra.issue_raw(
            {"typ": "JWT", "alg": "RS256", "kid": "k"},
            {"ver": "2.0", "exp": 9999999999, "tid": f"{n}" * 4000},
        )
        for n in range(50)
    ]
    tracemalloc.start()
    for token in junk:
        with pytest.raises(AccessError):
            guard.verify(token)
    kept, _peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 100_000


def test_text_repr_args_and_pickles_of_a_refusal_carry_the_clients_sentence_only(entra):
    with pytest.raises(AccessError) as caught:
        entra.guard().verify(entra.token(claims={"aud": FOREIGN}))
    error = caught.value
    again = pickle.loads(pickle.dumps(error))
    sentence = "wrong_audience: The token was issued for another API."
    assert (str(error), error.args, repr(error)) == (
        sentence,
        (sentence,),
        f"InvalidTokenError('{sentence}')",
    )
    assert (str(again), repr(again), again.args) == (str(error), repr(error), error.args)
    assert (again.reason, again.status, again.headers, again.body) == (
        "wrong_audience",
        401,
        error.headers,
        error.body,
    )
    assert FOREIGN.encode() not in pickle.dumps(error)
    assert sentence in "".join(traceback.format_exception(error))
    assert FOREIGN not in "".join(traceback.format_exception(error))
    assert FOREIGN in error.report()


def test_a_pickled_refusal_keeps_its_challenge():
    error = InsufficientPermissionError("missing_scope", {"has": []}, scope="Orders.Read", retry_after=3.0)
    again = pickle.loads(pickle.dumps(error))
    assert again.headers == error.headers
    assert 'scope="Orders.Read"' in again.challenge


def test_a_fetch_error_survives_pickling():
    error = FetchError("dns", "https://login.example/", "the host name does not resolve", retry_after=2.0)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), vars(again)) == (str(error), vars(error))


def test_the_log_gets_the_report_with_the_facts(entra, caplog):
    app = Starlette()
    app.add_middleware(GuardMiddleware, guard=entra.guard())
    token = entra.token(claims={"aud": FOREIGN})
    TestClient(app).get("/orders", headers={"Authorization": f"Bearer {token}"})
    assert FOREIGN in caplog.text
    assert entra.api.client_id in caplog.text


def test_no_signature_shows_the_environment(monkeypatch):
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "a-secret-of-the-process")
    for module in (entra_guard, entra_guard.credentials):
        things = [getattr(module, name) for name in module.__all__]
        assert not [thing for thing in things if "a-secret-of-the-process" in _help(thing)]


def _help(thing: object) -> str:
    return "" if isinstance(thing, str) else pydoc.render_doc(thing)
