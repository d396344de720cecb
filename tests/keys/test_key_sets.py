"""Key sets: unusable entries are skipped, and the others are kept (RFC 7517 section 5)."""

from __future__ import annotations

import base64
import datetime as dt
import logging
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from jwt.algorithms import RSAAlgorithm
from keys_entra import visit

from entra_guard._validation.issuer import Issuer
from entra_guard._validation.jwks import KeyOrigin, KeysRefusedError, read_keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from keys_entra import Callers, KeysEntra

ISSUER = Issuer(v2="https://login.example.com/v2.0", cloud="microsoftonline.com")
OTHER_ISSUER = Issuer(v2="https://issuer.example", is_entra=False)
PRIVATE = rsa.generate_private_key(65537, 2048)
OTHER_PRIVATE = rsa.generate_private_key(65537, 2048)


def entry(private: rsa.RSAPrivateKey = PRIVATE, **members: Any) -> dict[str, Any]:
    public = RSAAlgorithm.to_jwk(private.public_key(), as_dict=True)
    return {"kty": "RSA", "n": public["n"], "e": public["e"], "kid": "one", "use": "sig"} | members


def certificate(
    private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, signed_by: rsa.RSAPrivateKey = PRIVATE
) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "signing")])
    start = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(name, name, private.public_key(), x509.random_serial_number())
    built = builder.not_valid_before(start).not_valid_after(start + dt.timedelta(days=1))
    der = built.sign(signed_by, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    return base64.b64encode(der).decode()


KEY, OTHER_KEY = entry(), entry(OTHER_PRIVATE, kid="two")


def kids(*entries: object, issuer: Issuer = ISSUER) -> set[str]:
    return set(read_keys({"keys": list(entries)}, issuer).by_kid)


# --- entries that are skipped ---

JUNK: dict[str, object] = {
    "null": None,
    "a number": 7,
    "a string": "key",
    "a list": [[]],
    "an empty object": {},
    "a symmetric key": {"kty": "oct", "kid": "secret", "k": "AAAA"},
    "a private EC key": {"kty": "EC", "crv": "P-256", "kid": "ec", "x": "AA", "y": "AA", "d": "AA"},
    "a private key": entry(OTHER_PRIVATE, kid="two", d="AQAB"),
    "private primes": entry(OTHER_PRIVATE, kid="two", p="AQAB", q="AQAB"),
    "no modulus": {"kty": "RSA", "kid": "two", "e": "AQAB"},
    "a modulus that is a number": entry(OTHER_PRIVATE, kid="two", n=7),
    "a modulus that is not base64": entry(OTHER_PRIVATE, kid="two", n="!"),
    "an exponent of 1": entry(OTHER_PRIVATE, kid="two", e="AQ"),
    "a small modulus": entry(rsa.generate_private_key(65537, 1024), kid="two"),
    "an unknown key type": {"kty": "AKP", "kid": "two", "alg": "ML-DSA-44", "pub": "AA"},
    "no key type": {key: value for key, value in OTHER_KEY.items() if key != "kty"},
    "a kid that is too long": entry(OTHER_PRIVATE, kid="k" * 129),
    "an empty kid": entry(OTHER_PRIVATE, kid=""),
    "a kid that is a number": entry(OTHER_PRIVATE, kid=7),
    "no kid": {key: value for key, value in OTHER_KEY.items() if key != "kid"},
    "for encryption": entry(OTHER_PRIVATE, kid="two", use="enc"),
    "for encryption by key_ops": entry(OTHER_PRIVATE, kid="two", key_ops=["encrypt"]),
    "key_ops that is no list": entry(OTHER_PRIVATE, kid="two", key_ops="verify"),
    "for another algorithm": entry(OTHER_PRIVATE, kid="two", alg="RS512"),
    "an algorithm that is a number": entry(OTHER_PRIVATE, kid="two", alg=7),
    "an algorithm that is a list": entry(OTHER_PRIVATE, kid="two", alg=["RS256"]),
    "an algorithm that is an object": entry(OTHER_PRIVATE, kid="two", alg={}),
    "an issuer that is a number": entry(OTHER_PRIVATE, kid="two", issuer=7),
    "a cloud that is a list": entry(OTHER_PRIVATE, kid="two", cloud_instance_name=[]),
    "a certificate of another key": entry(OTHER_PRIVATE, kid="two", x5c=[certificate(PRIVATE)]),
    "a certificate of an EC key": entry(
        OTHER_PRIVATE, kid="two", x5c=[certificate(ec.generate_private_key(ec.SECP256R1()))]
    ),
}


@pytest.mark.parametrize("name", JUNK)
@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
def test_an_unusable_entry_is_skipped_and_reported_and_the_others_are_kept(name: str, first: bool) -> None:
    junk = JUNK[name]
    found = read_keys({"keys": [junk, KEY] if first else [KEY, junk]}, ISSUER)
    assert set(found.by_kid) == {"one"}
    assert len(found.skipped) + len(found.faults) == 1


@pytest.mark.parametrize("name", JUNK)
def test_a_set_without_a_single_usable_key_is_refused(name: str) -> None:
    with pytest.raises(KeysRefusedError, match="no usable RSA signing key"):
        read_keys({"keys": [JUNK[name]]}, ISSUER)


@pytest.mark.parametrize("keys", [None, {}, "keys", 7])
def test_a_document_without_a_list_of_keys_is_refused(keys: object) -> None:
    with pytest.raises(KeysRefusedError, match="no list of keys"):
        read_keys({"keys": keys}, ISSUER)


FINE: dict[str, dict[str, Any]] = {
    "the longest kid": {"kid": "k" * 128},
    "key_ops": {"key_ops": ["verify"]},
    "PS256": {"alg": "PS256"},
    "no use": {"use": None},
    "members that are null": {"alg": None, "key_ops": None, "x5c": None, "d": None, "issuer": None},
    "unknown members": {"x5t": "AA", "padding": [[1]], "exp": 7},
    "its own certificate": {"x5c": [certificate(OTHER_PRIVATE)]},
    "a chain": {"x5c": [certificate(OTHER_PRIVATE), certificate(PRIVATE)]},
    "a blank issuer": {"issuer": " "},
    "an empty issuer and cloud": {"issuer": "", "cloud_instance_name": ""},
}
UNREADABLE_CERTIFICATES = [
    [],
    [""],
    ["AAAA"],
    ["!"],
    [7],
    [None],
    "AAAA",
    {},
    7,
    [certificate(PRIVATE)[:-40]],
]


@pytest.mark.parametrize("name", FINE)
def test_a_key_for_our_signatures_is_kept(name: str) -> None:
    found = read_keys({"keys": [entry(OTHER_PRIVATE, kid="two") | FINE[name], KEY]}, ISSUER)
    assert (len(found.by_kid), found.skipped, found.faults) == (2, (), ())


@pytest.mark.parametrize("x5c", UNREADABLE_CERTIFICATES, ids=range(len(UNREADABLE_CERTIFICATES)))
def test_a_certificate_that_cannot_be_parsed_is_ignored(x5c: object) -> None:
    assert kids(entry(OTHER_PRIVATE, kid="two", x5c=x5c), KEY) == {"one", "two"}


def test_a_blank_issuer_member_counts_as_absent() -> None:
    [key] = read_keys({"keys": [entry(issuer="  ", cloud_instance_name="\t")]}, ISSUER).by_kid.values()
    assert key.origin == KeyOrigin("", "")


def test_a_hundred_keys_are_read_and_one_more_is_not() -> None:
    hundred = [KEY | {"kid": str(number)} for number in range(100)]
    assert len(kids(*hundred)) == 100
    with pytest.raises(KeysRefusedError, match="more than 100"):
        kids(*hundred, KEY)


def test_any_number_of_junk_entries_is_skipped_and_few_are_reported() -> None:
    found = read_keys({"keys": [*([None] * 50_000), KEY]}, ISSUER)
    assert set(found.by_kid) == {"one"}
    assert len(found.faults) == 21
    assert found.faults[-1] == "and 49980 more entries"


def test_what_a_document_says_is_reported_escaped() -> None:
    found = read_keys({"keys": [entry(kid="evil\n\x1b[31m", n="!"), KEY]}, ISSUER)
    assert all(line.isprintable() for line in (*found.faults, *found.skipped))


def test_keys_of_another_cloud_alone_are_not_keys_of_this_issuer() -> None:
    other = entry(OTHER_PRIVATE, kid="other", cloud_instance_name="microsoftonline.us")
    assert kids(KEY, other) == {"one", "other"}
    with pytest.raises(KeysRefusedError, match="no usable RSA signing key of the issuer"):
        kids(other)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["RSA", "sig", "AQAB"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
MEMBERS = ["kty", "n", "e", "kid", "use", "alg", "key_ops", "x5c", "issuer", "cloud_instance_name", "d", "k"]


@hypothesis_settings(max_examples=200)
@given(st.lists(VALUES | st.dictionaries(st.sampled_from(MEMBERS), VALUES), max_size=6))
def test_whatever_is_in_a_key_set_its_valid_key_serves(junk: list[Any]) -> None:
    found = read_keys({"keys": [*junk, KEY | {"kid": "a valid key"}]}, ISSUER)
    assert "a valid key" in found.by_kid


@given(
    st.dictionaries(st.sampled_from([*MEMBERS, "oth", "x5t", "x5u", "ext"]), VALUES, min_size=1, max_size=3)
)
def test_a_member_of_any_json_type_harms_no_more_than_its_entry(members: dict[str, Any]) -> None:
    assert "a valid key" in kids(OTHER_KEY | members, KEY | {"kid": "a valid key"}, issuer=ISSUER)
    assert "a valid key" in kids(KEY | {"kid": "a valid key"}, OTHER_KEY | members, issuer=OTHER_ISSUER)


@pytest.mark.parametrize("value", [[], ["RS256"], {}, {"a": [1]}, 7, -1.5, True, "\ud800"], ids=repr)
@pytest.mark.parametrize("member", MEMBERS)
def test_each_member_of_each_json_type_harms_no_more_than_its_entry(member: str, value: object) -> None:
    assert "one" in kids(OTHER_KEY | {member: value}, KEY)


# --- ambiguous kids ---


def test_an_ambiguous_kid_is_dropped_alone() -> None:
    found = read_keys({"keys": [KEY, entry(OTHER_PRIVATE), OTHER_KEY]}, ISSUER)
    assert set(found.by_kid) == {"two"}
    assert found.unusable == {"one": "two different keys have this kid"}


def test_a_third_entry_does_not_bring_an_ambiguous_kid_back() -> None:
    assert kids(KEY, entry(OTHER_PRIVATE), KEY, OTHER_KEY) == {"two"}


def test_the_same_key_of_two_issuers_is_ambiguous() -> None:
    assert kids(KEY, entry(issuer="https://elsewhere.example"), OTHER_KEY) == {"two"}


@pytest.mark.parametrize(
    "algorithms", [["RS256", "PS256"], ["PS256", "RS256", "RS512"], [None, "RS256"]], ids=str
)
def test_the_same_key_listed_once_per_algorithm_is_one_key_for_all_of_them(algorithms: list[str]) -> None:
    found = read_keys({"keys": [entry(alg=alg) for alg in algorithms]}, ISSUER)
    assert [key.alg for key in found.by_kid.values()] == [""]
    assert not found.unusable


def test_the_same_key_listed_twice_for_one_algorithm_stays_a_key_for_that_algorithm() -> None:
    [key] = read_keys({"keys": [entry(alg="PS256"), entry(alg="PS256")]}, ISSUER).by_kid.values()
    assert key.alg == "PS256"


@pytest.mark.parametrize(
    "other",
    [
        {"kty": "oct", "k": "AAAA"},
        {"kty": "EC"},
        entry(OTHER_PRIVATE, use="enc"),
        entry(OTHER_PRIVATE, alg="RS512"),
        entry(OTHER_PRIVATE, n="!"),
        entry(OTHER_PRIVATE, x5c=[certificate(PRIVATE)]),
    ],
    ids=["symmetric", "EC", "encryption", "RS512", "unreadable", "certificate"],
)
def test_an_entry_that_cannot_verify_our_signatures_does_not_make_a_kid_ambiguous(
    other: dict[str, Any],
) -> None:
    assert kids(KEY, other | {"kid": "one"}) == {"one"}


def test_a_key_whose_private_half_is_published_verifies_nothing() -> None:
    numbers = RSAAlgorithm.to_jwk(PRIVATE, as_dict=True)
    for kid in ("one", "published"):
        for entries in ([KEY, numbers | {"kid": kid}, OTHER_KEY], [numbers | {"kid": kid}, KEY, OTHER_KEY]):
            assert kids(*entries) == {"two"}


def test_a_key_that_did_not_change_stays_the_same_object() -> None:
    before = read_keys({"keys": [entry(alg="RS256"), entry(alg="PS256"), OTHER_KEY]}, ISSUER)
    after = read_keys(
        {"keys": [OTHER_KEY, entry(alg="PS256"), None, entry(alg="RS256")]}, ISSUER, known=before
    )
    assert all(after.by_kid[kid] is key for kid, key in before.by_kid.items())


# --- tokens whose key is published in an unusable form ---


class Edited(httpx.BaseTransport):
    """The emulator, with its key set edited on the way."""

    def __init__(self, entra: KeysEntra) -> None:
        self._entra = entra
        self.edit: Callable[[list[Any]], list[Any]] = lambda keys: keys

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self._entra.transport.handle_request(request)
        response.read()
        document = response.json()
        if "keys" in document:
            return httpx.Response(200, json={"keys": self.edit(document["keys"])})
        return response


def without_certificate(key: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in key.items() if name != "x5c"}


EDITS: dict[str, Callable[[list[Any]], list[Any]]] = {
    "ambiguous": lambda keys: [*keys, keys[1] | {"kid": keys[0]["kid"]}],
    "private": lambda keys: [keys[0] | {"d": "AQAB"}, *keys[1:]],
    "certificate": lambda keys: [keys[0] | {"x5c": keys[1]["x5c"]}, *keys[1:]],
    "unreadable": lambda keys: [without_certificate(keys[0]) | {"n": "!"}, *keys[1:]],
    "another purpose": lambda keys: [keys[0] | {"use": "enc"}, *keys[1:]],
    "another type": lambda keys: [{"kty": "oct", "k": "AA", "kid": keys[0]["kid"]}, *keys[1:]],
}


@pytest.mark.parametrize("how", EDITS)
def test_a_token_whose_key_is_published_but_unusable_gets_503_and_one_warning(
    entra: KeysEntra, callers: Callers, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    transport = Edited(entra)
    with httpx.Client(transport=transport) as client:
        guard = entra.warm_guard(http_client=client)
        token = entra.token()
        transport.edit = EDITS[how]
        entra.monotonic.advance(7200)
        visit(guard)
        with caplog.at_level(logging.WARNING, "entra_guard.keys"):
            answers = [callers.verify(guard, token) for _ in range(3)]
        assert {(answer.status, answer.reason) for answer in answers} == {(503, "keys_unavailable")}
        assert all(answer.retry_after and answer.retry_after >= 1 for answer in answers)
        assert all(answer.facts["kid"] == entra.signing_key.kid for answer in answers)
        assert caplog.text.count("is published but cannot be used") == 1
        assert guard.health().ready
        transport.edit = lambda keys: keys
        entra.monotonic.advance(7200)
        visit(guard)
        assert callers.verify(guard, token).status == 200


def test_an_entry_that_should_not_be_in_a_key_set_is_a_warning(
    entra: KeysEntra, caplog: pytest.LogCaptureFixture
) -> None:
    entra.fail("keys", "private-key")
    with caplog.at_level(logging.WARNING, "entra_guard.keys"):
        entra.guard(strict_startup=True)
    assert "publishes private or symmetric key material" in caplog.text


def test_a_withdrawn_key_in_its_grace_ends_at_once_when_it_is_published_in_an_unusable_form(
    entra: KeysEntra, callers: Callers
) -> None:
    transport = Edited(entra)
    with httpx.Client(transport=transport) as client:
        guard = entra.warm_guard(http_client=client, retired_key_grace=3600.0)
        token = entra.token()
        transport.edit = EDITS["private"]
        entra.monotonic.advance(7200)
        visit(guard)
        assert callers.verify(guard, token).status == 503


# --- keys without a kid ---


def without_kid(private: rsa.RSAPrivateKey = PRIVATE, **members: Any) -> dict[str, Any]:
    return {name: value for name, value in entry(private, **members).items() if name != "kid"}


def test_only_an_issuer_that_is_not_entra_may_publish_keys_without_a_kid() -> None:
    with pytest.raises(KeysRefusedError, match="it has no kid"):
        kids(without_kid())
    found = read_keys({"keys": [without_kid(), without_kid(OTHER_PRIVATE), KEY]}, OTHER_ISSUER)
    assert sorted(key.kid for key in found.by_kid.values()) == ["", "", "one"]
    assert len(found.by_kid) == 3


def test_the_same_key_without_a_kid_listed_once_per_algorithm_is_one_key() -> None:
    entries = [without_kid(alg="RS256"), without_kid(alg="PS256"), without_kid(alg="RS256")]
    [key] = read_keys({"keys": entries}, OTHER_ISSUER).by_kid.values()
    assert key.alg == ""
