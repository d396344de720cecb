"""PyJWT as a second opinion on thousands of generated tokens: where we differ, it is by documented strictness.

Each row of STRICTER names a difference that is meant; any other difference is a bug in one of the two.
"""

from __future__ import annotations

import base64
import json
import time

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entra_guard import AccessError, Principal

NOW = int(time.time())

STRICTER = {
    "algorithm_not_allowed": "headers: typ JWT or at+jwt, a kid, no crit, b64, zip, enc",
    "not_a_jwt": "form: canonical base64url, names once, 16 KiB",
    "token_too_large": "form: 16 KiB",
    "invalid_claims": "claims: exact types, names once, exp and GUIDs must be there",
    "wrong_version": "Entra: ver 1.0 or 2.0",
    "wrong_tenant": "Entra: tid and iss of one tenant",
    "personal_account": "Entra: tid and iss of one tenant",
    "no_permissions": "Entra: scp or roles",
    "id_token": "Entra: azp or appid",
    "proof_of_possession_required": "Entra: no cnf",
    "key_of_other_issuer": "Entra: the key's own issuer",
    "key_of_other_cloud": "Entra: the key's own cloud",
    "issued_in_future": "iat is checked",
}

moments = st.one_of(
    st.integers(NOW - 10_000, NOW + 10_000),
    st.floats(NOW - 4000.0, NOW + 4000.0),
    st.text(max_size=3),
    st.none(),
    st.booleans(),
)
texts = st.text(max_size=12)
changes = st.fixed_dictionaries(
    {},
    optional={
        "exp": moments,
        "nbf": moments,
        "iat": moments,
        "aud": st.one_of(texts, st.lists(texts, max_size=2)),
        "iss": texts,
        "tid": texts | st.uuids().map(str),
        "ver": st.sampled_from(["1.0", "2.0", "3.0", 2]),
        "roles": st.one_of(st.lists(texts, max_size=2), texts),
        "scp": texts,
        "azp": texts,
        "cnf": st.dictionaries(texts, texts, max_size=1),
        "name": texts,
    },
)
headers = st.fixed_dictionaries(
    {},
    optional={
        "typ": st.sampled_from(["JWT", "at+jwt", "jwt", "x", ""]),
        "kid": texts,
        "alg": st.sampled_from(["RS256", "HS256", "none", "RS512"]),
        "crit": st.lists(texts, max_size=1),
        "jku": texts,
    },
)


def second_opinion(entra, guard, token: str) -> bool:
    """Return whether PyJWT accepts the signature and the standard claims, with the guard's keys and issuer."""
    serving = guard._key_manager.active_keys
    try:
        kid = jwt.get_unverified_header(token).get("kid")
        version = jwt.decode(token, options={"verify_signature": False}).get("ver")
        claims = jwt.decode(
            token,
            serving.by_kid[kid].public_key,
            algorithms=["RS256"],
            audience=sorted(guard.policy.accepted),
            issuer=serving.issuer.v1 if version == "1.0" else serving.issuer.v2,
            leeway=60,
            options={"require": ["exp"]},
        )
    except (jwt.PyJWTError, KeyError, TypeError, ValueError, OverflowError):
        return False
    return bool(claims)


def verdict(guard, token: str) -> tuple[str, Principal | None]:
    try:
        return "", guard.verify(token)
    except AccessError as error:
        return error.reason, None


def compare(entra, guard, token: str) -> None:
    reason, principal = verdict(guard, token)
    if principal is not None:
        assert second_opinion(entra, guard, token)
        assert principal.claims == jwt.decode(token, options={"verify_signature": False})
    elif reason == "wrong_audience" and second_opinion(entra, guard, token):
        assert isinstance(jwt.decode(token, options={"verify_signature": False})["aud"], list)
    else:
        assert reason in STRICTER or not second_opinion(entra, guard, token), reason


@pytest.fixture(scope="module")
def guard(entra):
    guard = entra.guard()
    guard.verify(entra.token())
    return guard


@settings(max_examples=400)
@given(changes=changes, extra=headers)
def test_agrees_on_signed_tokens_with_any_claims_and_headers(entra, guard, changes, extra):
    compare(entra, guard, entra.token(claims=changes, headers=extra))


@settings(max_examples=400)
@given(data=st.data())
def test_agrees_on_tokens_with_characters_changed(entra, guard, data):
    token = entra.token()
    position = data.draw(st.integers(0, len(token) - 1))
    put = data.draw(st.text(alphabet="ABCxyz019-_=+/. \n\u00e9", max_size=2))
    drop = data.draw(st.integers(0, 2))
    compare(entra, guard, token[:position] + put + token[position + drop :])


@settings(max_examples=200)
@given(
    payload=st.one_of(
        st.binary(max_size=60),
        st.text(max_size=40).map(str.encode),
        st.builds(
            lambda v: json.dumps(v).encode(),
            st.recursive(
                st.none() | st.booleans() | st.floats() | texts,
                lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
                max_leaves=5,
            ),
        ),
    )
)
def test_agrees_on_signed_payloads_of_any_bytes(entra, guard, payload):
    kid = jwt.get_unverified_header(entra.token())["kid"]
    compare(entra, guard, entra.issue_raw({"typ": "JWT", "alg": "RS256", "kid": kid}, payload))


@settings(max_examples=200)
@given(
    text=st.one_of(
        st.text(max_size=60),
        st.from_regex(r"[A-Za-z0-9_-]{0,20}(\.[A-Za-z0-9_-]{0,20}){0,4}", fullmatch=True),
    )
)
def test_any_text_raises_only_an_access_error(entra, guard, text):
    with pytest.raises(AccessError):
        guard.verify(text)
    assert not guard.explain(text).accepted


def test_one_signed_token_has_one_spelling(entra, guard):
    """Sixteen last characters decode to the same signature; only the canonical one passes."""
    token = entra.token()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    wanted = base64.urlsafe_b64decode(token.rpartition(".")[2] + "==")
    spellings = [token[:-1] + last for last in alphabet]
    same = [s for s in spellings if base64.urlsafe_b64decode(s.rpartition(".")[2] + "==") == wanted]
    verified_tokens = {spelling: verdict(guard, spelling)[0] for spelling in same}
    assert len(same) == 16
    assert verified_tokens == dict.fromkeys(same, "not_a_jwt") | {token: ""}


@pytest.mark.parametrize(
    "twice",
    [
        b'{"exp":1,"exp":%d}',
        b'{"exp":1, "exp" :%d}',
        b'{"e\\u0078p":1,"exp":%d}',
        b'{"roles":["Admin"],"roles":[],"exp":%d}',
        b'{"unknown":1,"unknown":2,"exp":%d}',
    ],
)
def test_a_duplicate_claim_is_refused_even_if_signed(entra, guard, twice):
    kid = jwt.get_unverified_header(entra.token())["kid"]
    good = jwt.decode(entra.token(), options={"verify_signature": False})
    rest = json.dumps({name: value for name, value in good.items() if name != "exp"}).encode()
    payload = rest[:-1] + b"," + twice[1:] % good["exp"]
    with pytest.raises(AccessError) as caught:
        guard.verify(entra.issue_raw({"typ": "JWT", "alg": "RS256", "kid": kid}, payload))
    assert caught.value.reason == "invalid_claims"


def test_a_duplicate_header_member_is_refused(entra, guard):
    token = entra.token()
    header = base64.urlsafe_b64decode(token.partition(".")[0] + "==")
    doubled = header[:-1] + b',"typ":"JWT"}'
    signed = entra.issue_raw(doubled, jwt.decode(token, options={"verify_signature": False}))
    with pytest.raises(AccessError) as caught:
        guard.verify(signed)
    assert caught.value.reason == "not_a_jwt"


def test_a_pss_signature_without_its_leading_zeros_is_refused(entra):
    """OpenSSL takes it, RFC 8017 section 8.1.2 does not; and what is remembered must fit every later token."""
    guard = entra.guard(algorithms=["RS256", "PS256"])
    kid = jwt.get_unverified_header(entra.token())["kid"]
    header, claims = (
        {"typ": "JWT", "alg": "PS256", "kid": kid},
        jwt.decode(entra.token(), options={"verify_signature": False}),
    )
    for number in range(3000):
        token = entra.issue_raw(header, claims | {"uti": str(number)}, algorithm="PS256")
        signing_input, _, signature = token.rpartition(".")
        raw = base64.urlsafe_b64decode(signature + "==")
        if raw[0] == 0:
            short = base64.urlsafe_b64encode(raw[1:]).rstrip(b"=").decode()
            assert verdict(guard, f"{signing_input}.{short}")[0] == "bad_signature"
            break
    else:
        pytest.fail("no signature began with a zero in 3,000")
    for _twice in range(2):
        assert guard.verify(token).claims["uti"] == str(number)


def test_a_principal_returns_claims_of_any_type(entra, guard):
    kid = jwt.get_unverified_header(entra.token())["kid"]
    good = jwt.decode(entra.token(), options={"verify_signature": False})
    for groups in (5, True, "abc", {"a": 1}, None):
        principal = guard.verify(
            entra.issue_raw({"typ": "JWT", "alg": "RS256", "kid": kid}, good | {"groups": groups})
        )
        assert principal.groups == ()
        assert principal.claims["groups"] == groups
        assert principal.display_name
    huge = json.dumps(good).encode()[:-1] + b',"x":1e400}'
    assert (
        verdict(guard, entra.issue_raw({"typ": "JWT", "alg": "RS256", "kid": kid}, huge))[0]
        == "invalid_claims"
    )
