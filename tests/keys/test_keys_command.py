"""`entra-guard keys pull` writes what a guard without egress can use, and `show` tells what is in it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import httpx
import pytest
from click.testing import CliRunner, Result

from entra_guard import Authority
from entra_guard._keys import snapshot_file
from entra_guard._keys.documents import Documents, Source
from entra_guard.cli._group import group

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from keys_entra import Callers, KeysEntra


@pytest.fixture
def run(entra: KeysEntra) -> Callable[..., Result]:
    def command(*arguments: object, **variables: str) -> Result:
        with httpx.Client(transport=entra.transport) as client:
            words = ["keys", *map(str, arguments)]
            return CliRunner().invoke(group, words, env=variables, obj={"http_client": client})

    return command


@pytest.fixture
def file(entra: KeysEntra, run: Callable[..., Result], tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    pulled = run("pull", "--tenant", entra.tenant_id, "--authority", entra.url, path)
    assert pulled.exit_code == 0, pulled.output
    return path


def test_a_pulled_file_serves_a_guard_without_egress(entra: KeysEntra, callers: Callers, file: Path) -> None:
    entra.fail("all", "refused")
    assert callers.verify(entra.guard(keys_file=file), entra.token()).status == 200


def test_show_tells_age_issuers_and_kids(entra: KeysEntra, run: Callable[..., Result], file: Path) -> None:
    shown = run("show", file)
    assert shown.exit_code == 0
    for fact in ("0 seconds", entra.tenant_id, "v2.0", *(key.kid for key in entra.keys)):
        assert fact in shown.output
    assert "Older than" not in shown.output


def test_show_says_when_a_file_is_too_old_for_most_guards(run: Callable[..., Result], file: Path) -> None:
    saved = json.loads(file.read_text())
    file.write_text(json.dumps(saved | {"fetched_at": saved["fetched_at"] - 90_000}))
    shown = run("show", file)
    assert shown.exit_code == 1
    assert "1 d 1 h" in shown.output
    assert "Older than 1 d 0 h" in shown.output


def test_show_says_when_a_file_is_of_the_future(run: Callable[..., Result], file: Path) -> None:
    saved = json.loads(file.read_text())
    file.write_text(json.dumps(saved | {"fetched_at": saved["fetched_at"] + 90_000}))
    shown = run("show", file)
    assert shown.exit_code == 1
    assert "Check this host's clock" in shown.output


def test_show_knows_an_external_tenant_on_a_domain_of_its_own(
    run: Callable[..., Result], entra: KeysEntra, tmp_path: Path
) -> None:
    path, host, tenant = tmp_path / "keys.json", "https://login.contoso.example", entra.tenant_id
    with httpx.Client(transport=entra.transport) as client:
        keys = client.get(f"{entra.url}/{tenant}/discovery/v2.0/keys").json()["keys"]
    plain = [{name: key[name] for name in ("kty", "use", "kid", "n", "e")} for key in keys]
    v2 = {"issuer": f"https://{tenant}.ciamlogin.com/{tenant}/v2.0", "jwks_uri": f"{host}/{tenant}/keys"}
    source = Source(Authority.external(host), tenant, frozenset({"2.0"}))
    snapshot_file.write(path, source, Documents(v2, None, {"keys": plain}), time.time())
    shown = run("show", path)
    assert shown.exit_code == 0, shown.output
    assert "ciamlogin.com" in shown.output


def test_tenant_authority_and_file_may_come_from_the_environment(
    entra: KeysEntra, run: Callable[..., Result], tmp_path: Path
) -> None:
    where = {
        "ENTRA_GUARD_TENANT": entra.tenant_id,
        "ENTRA_GUARD_AUTHORITY": entra.url,
        "ENTRA_GUARD_KEYS_FILE": str(tmp_path / "from-env.json"),
    }
    assert run("pull", **where).exit_code == 0
    assert run("show", **where).exit_code == 0


def test_keys_of_all_organizations_are_pulled_by_their_name(
    entra: KeysEntra, run: Callable[..., Result], tmp_path: Path
) -> None:
    path = tmp_path / "keys.json"
    assert run("pull", "--tenant", "organizations", "--authority", entra.url, path).exit_code == 0
    assert "{tenantid}" in run("show", path).output


@pytest.mark.parametrize(
    ("how", "words"), [("refused", "connect:"), ("html", "content:"), ("500", "status 500")]
)
def test_a_pull_that_fails_says_at_which_step_and_leaves_the_file_as_it_was(
    entra: KeysEntra, run: Callable[..., Result], file: Path, how: str, words: str
) -> None:
    before = file.read_bytes()
    entra.fail("all", how)
    pulled = run("pull", "--tenant", entra.tenant_id, "--authority", entra.url, file)
    assert (pulled.exit_code, words in pulled.output) == (1, True)
    assert file.read_bytes() == before


def test_a_pull_that_does_not_say_whose_keys_is_told_so(run: Callable[..., Result], tmp_path: Path) -> None:
    pulled = run("pull", tmp_path / "keys.json")
    assert pulled.exit_code == 2
    assert "--tenant" in pulled.output


def test_show_refuses_what_a_guard_would_refuse(
    run: Callable[..., Result], file: Path, tmp_path: Path
) -> None:
    file.chmod(0o666)
    assert "chmod 600" in run("show", file).output
    file.chmod(0o600)
    file.write_text("{}")
    assert "is corrupt" in run("show", file).output
    assert run("show", tmp_path / "none.json").exit_code == 1


def test_nothing_of_a_key_set_controls_the_terminal(run: Callable[..., Result], file: Path) -> None:
    saved = json.loads(file.read_text())
    for key in saved["keys"]["keys"][:1]:
        key["kid"] = "kid\x1b[2J\u202e\nforged line"
    saved["keys"]["keys"].append({"kty": "oct", "k": "x", "kid": "other\x1b]0;x\x07"})
    file.write_text(json.dumps(saved))
    shown = run("show", file)
    assert "kid\\x1b[2J" in shown.output
    for line in shown.output.splitlines():
        assert line.isascii(), line
        assert line.isprintable(), line
        assert not line.startswith("forged"), line
