"""What a client sent in place of a token is named in the log, without quoting it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from entra_guard import AccessError
from entra_guard._web.authenticator import bearer_token

if TYPE_CHECKING:
    from entra_guard.testing import Entra

PLACEHOLDER = "a placeholder, such as $TOKEN or <token>, in place of the token"


@pytest.mark.parametrize("sent", ["$TOKEN", "${TOKEN}", "%TOKEN%", "{{token}}", "<token>", "{{$auth}}"])
def test_a_variable_that_was_not_replaced_is_named(entra: Entra, sent: str) -> None:
    with pytest.raises(AccessError) as caught:
        entra.guard().verify(sent)
    assert (caught.value.reason, caught.value.facts["found"]) == ("not_a_jwt", PLACEHOLDER)


@pytest.mark.parametrize(
    ("form", "found"),
    [
        ("b'{token}'", "a JWT with other text in front of it"),
        ("token={token}", "a JWT with other text in front of it"),
        ("['{token}']", "a JWT with other text in front of it"),
        ("{token}.", "a JWT with other text behind it"),
        ("{token}{token}", "a JWT with other text behind it"),
        ("{token}%3D", "base64url"),
        ("{token:.40}...", "a JWT that was shortened with dots: copy the whole token"),
        ("{token:.40}\u2026", "a JWT that was shortened with dots: copy the whole token"),
        ("{token:.40}", "the beginning of a JWT: the token was cut"),
        ("{unsigned}", "the beginning of a JWT: the token was cut"),
        ("eyJlbmMiOiJBMjU2R0NNIn0.a.b.c.d", "an encrypted token (JWE)"),
        ("0.AXoAabc", "2 segments"),
    ],
)
def test_a_damaged_token_is_described(entra: Entra, form: str, found: str) -> None:
    token = entra.token()
    sent = form.format(token=token, unsigned=token.rpartition(".")[0])
    guard = entra.guard()
    with pytest.raises(AccessError) as caught:
        guard.verify(sent)
    assert caught.value.reason == "not_a_jwt"
    assert found in str(caught.value.facts["found"])
    assert token[:40] not in caught.value.report()
    assert guard.explain(sent).reason == "not_a_jwt"


@pytest.mark.parametrize("segment", [0, 1, 2])
@pytest.mark.parametrize("inserted", ["!!!!", "\n\n\n\n", "    ", "%%%%", "\x00\x00\x00\x00"])
def test_characters_outside_base64url_are_refused_and_not_skipped(
    entra: Entra, segment: int, inserted: str
) -> None:
    parts = entra.token().split(".")
    parts[segment] = parts[segment][:8] + inserted + parts[segment][8:]
    with pytest.raises(AccessError) as caught:
        entra.guard().verify(".".join(parts))
    assert (caught.value.reason, caught.value.facts["found"]) == (
        "not_a_jwt",
        "a character outside base64url",
    )


@pytest.mark.parametrize("cut", [2, 42, 342])
def test_a_signature_that_was_cut_is_told_from_a_forged_one(entra: Entra, cut: int) -> None:
    token = entra.token()
    with pytest.raises(AccessError) as caught:
        entra.guard().verify(token[:-cut])
    assert caught.value.reason == "bad_signature"
    assert "the key makes 256: the token was cut" in str(caught.value.facts["found"])


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (b"BearereyJhbGciOiJSUzI1NiJ9.e.s", "no space behind the word Bearer"),
        (b"Bearer:token", "no space behind the word Bearer"),
        (b"Bearer%20token", "no space behind the word Bearer"),
        (b"Bearer\ttoken", "no space behind the word Bearer"),
        (b"Bearer <access token>", PLACEHOLDER),
        (b"Bearer <coroutine object get_token at 0x7f0>", PLACEHOLDER),
        (b"Bearer {{ token }}", PLACEHOLDER),
        (b"Bearer one,two", "a comma in the token"),
        (b"Bearer one two", "Bearer and 2 words"),
        (b"AWS4-HMAC-SHA256 Credential=x", "another scheme than Bearer"),
    ],
)
def test_the_shape_of_a_malformed_header_is_named(header: bytes, found: str) -> None:
    with pytest.raises(AccessError) as caught:
        bearer_token([header])
    assert (caught.value.reason, caught.value.facts["found"]) == ("malformed_authorization", found)
