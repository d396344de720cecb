"""The code that requests the token which the page shows: curl, httpx, MSAL, our credentials."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

from entra_guard.emulator._portal.tokens.obtaining import HIDDEN_SECRET

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entra_guard.emulator._portal.tokens.obtaining import Obtained, Wanted


def request_tabs(wanted: Wanted, obtained: Obtained) -> list[tuple[str, str]]:
    """Return label and text of each tab."""
    if wanted.is_made:
        body = obtained.form[""]
        return [("curl", _control_curl(obtained.url, body)), ("Python", _control_python(body))]
    if wanted.user is None:
        return [
            ("curl", _curl(obtained)),
            ("Python (httpx)", _httpx(obtained)),
            ("Python (MSAL)", _msal_app(wanted, obtained)),
            ("Python (our credentials)", _credential(wanted, obtained)),
        ]
    return [
        ("curl", _curl(obtained)),
        ("Python (httpx)", _httpx(obtained)),
        ("Python (MSAL)", _msal_user(wanted, obtained)),
    ]


def _is_secret(value: str) -> bool:
    return value == HIDDEN_SECRET


def _curl(obtained: Obtained) -> str:
    fields = [
        f'  --data-urlencode "{name}=$AZURE_CLIENT_SECRET"'
        if _is_secret(value)
        else f"  --data-urlencode {shlex.quote(f'{name}={value}')}"
        for name, value in obtained.form.items()
    ]
    origin = [f"  -H {shlex.quote(f'Origin: {obtained.origin}')}"] if obtained.origin else []
    return _once("#", obtained) + " \\\n".join([f"curl {shlex.quote(obtained.url)}", *origin, *fields])


def _once(comment: str, obtained: Obtained) -> str:
    """Return a comment about the authorization code, which this page has redeemed."""
    if "code" not in obtained.form:
        return ""
    return f"{comment} A code works once, and this page has used it: sign in again for a new one.\n"


def _python_fields(form: Mapping[str, str]) -> str:
    variable = 'os.environ["AZURE_CLIENT_SECRET"]'
    values = {name: variable if _is_secret(value) else json.dumps(value) for name, value in form.items()}
    return "\n".join(f'        "{name}": {value},' for name, value in values.items())


def _httpx(obtained: Obtained) -> str:
    origin = f'\n    headers={{"Origin": {json.dumps(obtained.origin)}}},' if obtained.origin else ""
    return f"""{_once("#", obtained)}import os

import httpx

response = httpx.post(
    {json.dumps(obtained.url)},
    data={{
{_python_fields(obtained.form)}
    }},{origin}
)
token = response.raise_for_status().json()["access_token"]
"""


def _authority(wanted: Wanted) -> str:
    return f"{wanted.base}/{wanted.tenant.id}"


def _msal_app(wanted: Wanted, obtained: Obtained) -> str:
    return f"""import os

import msal

# MSAL requires https: use the emulator's https address, and let Python trust it (see Connect).
app = msal.ConfidentialClientApplication(
    {json.dumps(wanted.client.client_id)},
    client_credential=os.environ["AZURE_CLIENT_SECRET"],
    authority={json.dumps(_authority(wanted))},
    instance_discovery=False,
)
token = app.acquire_token_for_client([{json.dumps(obtained.form.get("scope", ""))}])["access_token"]
"""


def _msal_user(wanted: Wanted, obtained: Obtained) -> str:
    scopes = [word for word in obtained.form.get("scope", "").split() if word != "openid"]
    return f"""import msal

# MSAL requires https: use the emulator's https address, and let Python trust it (see Connect).
app = msal.PublicClientApplication(
    {json.dumps(wanted.client.client_id)},
    authority={json.dumps(_authority(wanted))},
    instance_discovery=False,
)
token = app.acquire_token_interactive({json.dumps(scopes)})["access_token"]
"""


def _credential(wanted: Wanted, obtained: Obtained) -> str:
    return f"""import os

from entra_guard.credentials import ClientSecretCredential

credential = ClientSecretCredential(
    {json.dumps(wanted.tenant.id)},
    {json.dumps(wanted.client.client_id)},
    os.environ["AZURE_CLIENT_SECRET"],
    authority={json.dumps(wanted.base)},
)
token = credential.get_token({json.dumps(obtained.form.get("scope", ""))}).token
"""


def _control_curl(url: str, body: str) -> str:
    return f"curl {shlex.quote(url)} \\\n  -H 'Content-Type: application/json' \\\n  -d {shlex.quote(body)}"


def _control_python(body: str) -> str:
    fields = json.loads(body)
    client = fields.pop("client")
    arguments = "".join(f"    {name}={value!r},\n" for name, value in fields.items())
    return f"""# In a test, with the fixture `entra` of this package:
token = entra.issue_token(
    {client!r},
{arguments})
"""
