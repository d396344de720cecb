"""Code that works with this emulator, filled with the ids of one API and one client."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Mapping

_UPDATE: Final = "sudo update-ca-certificates"
_CERTIFICATE: Final = "entra-emulator.pem"
_KEYCHAIN: Final = "~/Library/Keychains/login.keychain-db"
SECRET_VARIABLE: Final = "AZURE_CLIENT_SECRET"  # noqa: S105 (a variable's name)


@dataclass(frozen=True, slots=True)
class CodeFacts:
    """The values in the code.

    Attributes:
        base: The authority's base URL over http, for the guard and for curl.
        https_base: The base URL over https, which MSAL and azure-identity require; '' if it is not served.
        ca_bundle: The file with the certificate authority of `https_base`; '' without https.
        tenant_id: The tenant.
        api_id: The client id of the API; '' without one.
        default_scope: The scope that a daemon requests for the API.
        scope: A delegated scope of the API, for a page.
        role: An app role of the API; '' without one.
        client_id: The client id of the client; '' without one.
        page_uri: A redirect URI of the client's single-page platform; '' without one.
    """

    base: str
    https_base: str
    ca_bundle: str
    tenant_id: str
    api_id: str
    default_scope: str
    scope: str
    role: str
    client_id: str
    page_uri: str

    @property
    def secure_base(self) -> str:
        return self.https_base or "https://localhost:8788"

    def guard_note(self, comment: str) -> str:
        """Return a comment for clients that need https, if the guard's code on the same page uses http."""
        if self.base == self.secure_base:
            return ""
        return f'{comment} The API must use the same base URL: Guard(authority="{self.secure_base}").\n'


def guard_tabs(facts: CodeFacts) -> list[tuple[str, str]]:
    """Return the code for an API: label and text of each tab."""
    return [
        ("Python guard", _guard(facts)),
        ("FastAPI", _fastapi(facts)),
        ("Flask", _flask(facts)),
        ("Django", _django(facts)),
    ]


def client_tabs(facts: CodeFacts) -> list[tuple[str, str]]:
    """Return the code for a client: label and text of each tab."""
    return [
        ("curl", _curl(facts)),
        ("Our credentials", _credentials(facts)),
        ("MSAL Python", _msal_python(facts)),
        ("azure-identity", _azure_identity(facts)),
        ("MSAL.js", _msal_browser(facts) if facts.page_uri else _msal_node(facts)),
        (".NET", _dotnet(facts)),
    ]


def environment(facts: CodeFacts) -> str:
    """Return the environment variables for `Guard.from_env` and `EnvironmentCredential`.

    Both use one base URL, because it is part of the issuer: https if it is served.
    """
    base = facts.https_base or facts.base
    rows = {
        "ENTRA_GUARD_AUTHORITY": base,
        "ENTRA_GUARD_TENANT": facts.tenant_id,
        "ENTRA_GUARD_AUDIENCE": facts.api_id,
        "AZURE_AUTHORITY_HOST": base,
        "AZURE_TENANT_ID": facts.tenant_id,
        "AZURE_CLIENT_ID": facts.client_id,
        SECRET_VARIABLE: "<secret value>",
        "SSL_CERT_FILE": facts.ca_bundle,
        "REQUESTS_CA_BUNDLE": facts.ca_bundle,
    }
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in rows.items() if value)


def trust(ca_bundle: str) -> list[tuple[str, str]]:
    """Return how to make systems and languages trust the emulator's certificate authority."""
    path = shlex.quote(ca_bundle)
    return [
        ("Python", f"export SSL_CERT_FILE={path}\nexport REQUESTS_CA_BUNDLE={path}"),
        ("Node.js", f"export NODE_EXTRA_CA_CERTS={path}"),
        ("curl", f"export CURL_CA_BUNDLE={path}"),
        (
            "Debian, Ubuntu",
            f"sudo cp {_CERTIFICATE} /usr/local/share/ca-certificates/entra-emulator.crt\n{_UPDATE}",
        ),
        (
            "macOS",
            f"security add-trusted-cert -r trustRoot -k {_KEYCHAIN} \\\n  {_CERTIFICATE}",
        ),
        ("Windows", f"certutil -user -addstore Root {_CERTIFICATE}"),
        ("Java", f"keytool -importcert -cacerts -alias entra-emulator -file {_CERTIFICATE}"),
    ]


def _guard(facts: CodeFacts) -> str:
    return f"""from entra_guard import Guard

guard = Guard(
    tenant="{facts.tenant_id}",
    audience="{facts.api_id}",
    authority="{facts.base}",  # omit it for the real Entra
)
"""


def _requires(facts: CodeFacts) -> str:
    return f"@requires(roles=[{json.dumps(facts.role)}])" if facts.role else "@requires()"


def _fastapi(facts: CodeFacts) -> str:
    return f"""{_guard(facts).replace("import Guard", "import Guard, current_principal, requires")}
from entra_guard.asgi import GuardMiddleware
from fastapi import FastAPI

app = FastAPI()
app.add_middleware(GuardMiddleware, guard=guard, public=["/healthz"])


@app.get("/orders")
{_requires(facts)}
async def orders():
    return {{"for": current_principal().app_id}}
"""


def _flask(facts: CodeFacts) -> str:
    return f"""{_guard(facts).replace("import Guard", "import Guard, current_principal, requires")}
from entra_guard.flask import init_app
from flask import Flask

app = Flask(__name__)
init_app(app, guard, public=["/healthz"])


@app.get("/orders")
{_requires(facts)}
def orders():
    return {{"for": current_principal().app_id}}
"""


def _django(facts: CodeFacts) -> str:
    return f"""# settings.py
{_guard(facts)}
MIDDLEWARE = ["entra_guard.django.GuardMiddleware"]
ENTRA_GUARD = {{"guard": guard, "public": ["/healthz"]}}

# views.py
from django.http import JsonResponse
from entra_guard import requires


{_requires(facts)}
def orders(request):
    return JsonResponse({{"for": request.principal.app_id}})
"""


def _curl(facts: CodeFacts) -> str:
    fields = {
        "grant_type": "client_credentials",
        "client_id": facts.client_id,
        "scope": facts.default_scope,
    }
    form = [f"  -d {shlex.quote(f'{name}={value}')}" for name, value in fields.items()]
    secret = f'  --data-urlencode "client_secret=${SECRET_VARIABLE}"'
    url = f"{facts.base}/{facts.tenant_id}/oauth2/v2.0/token"
    return " \\\n".join([f"curl {shlex.quote(url)}", *form, secret]) + (
        '\n\n# With the access_token of the response:\ncurl -H "Authorization: Bearer $TOKEN" '
        f"{facts.base}/portal/sample-api\n"
    )


def _credentials(facts: CodeFacts) -> str:
    return f"""import os

from entra_guard.credentials import ClientSecretCredential

credential = ClientSecretCredential(
    "{facts.tenant_id}",
    "{facts.client_id}",
    os.environ["{SECRET_VARIABLE}"],
    authority="{facts.base}",  # omit it for the real Entra
)
token = credential.get_token({json.dumps(facts.default_scope)}).token
"""


def _msal_python(facts: CodeFacts) -> str:
    return f"""import os

import msal

app = msal.ConfidentialClientApplication(
    "{facts.client_id}",
    client_credential=os.environ["{SECRET_VARIABLE}"],
    authority="{facts.secure_base}/{facts.tenant_id}",
    instance_discovery=False,  # omit it for the real Entra
    verify={facts.ca_bundle!r},  # the same
)
result = app.acquire_token_for_client([{json.dumps(facts.default_scope)}])
token = result["access_token"]
"""


def _azure_identity(facts: CodeFacts) -> str:
    return f"""import os

from azure.identity import ClientSecretCredential

credential = ClientSecretCredential(
    "{facts.tenant_id}",
    "{facts.client_id}",
    os.environ["{SECRET_VARIABLE}"],
    authority="{facts.secure_base}",  # omit it for the real Entra
    disable_instance_discovery=True,  # the same
    connection_verify={facts.ca_bundle!r},  # the same
)
token = credential.get_token({json.dumps(facts.default_scope)}).token
"""


def _msal_js_auth(facts: CodeFacts) -> str:
    host = facts.secure_base.partition("//")[2]
    return f"""    clientId: {json.dumps(facts.client_id)},
    authority: {json.dumps(f"{facts.secure_base}/{facts.tenant_id}")},
    knownAuthorities: [{json.dumps(host)}], // omit it for the real Entra"""


def _msal_browser(facts: CodeFacts) -> str:
    return f"""{facts.guard_note("//")}import {{ PublicClientApplication }} from "@azure/msal-browser";

const app = new PublicClientApplication({{
  auth: {{
{_msal_js_auth(facts)}
    redirectUri: {json.dumps(facts.page_uri)},
  }},
}});
await app.initialize();
const signedIn = await app.handleRedirectPromise();
const account = signedIn?.account ?? app.getAllAccounts()[0];
const request = {{ account, scopes: [{json.dumps(facts.scope)}] }};
if (account) {{
  const {{ accessToken }} = await app.acquireTokenSilent(request);
  const response = await fetch("/orders", {{ headers: {{ Authorization: `Bearer ${{accessToken}}` }} }});
}} else {{
  await app.loginRedirect(request); // leaves this page, and comes back to it
}}
"""


def _msal_node(facts: CodeFacts) -> str:
    return f"""{facts.guard_note("//")}// The certificate: set NODE_EXTRA_CA_CERTS before Node starts.
import {{ ConfidentialClientApplication }} from "@azure/msal-node";

const app = new ConfidentialClientApplication({{
  auth: {{
{_msal_js_auth(facts)}
    clientSecret: process.env.{SECRET_VARIABLE},
  }},
}});
const scopes = [{json.dumps(facts.default_scope)}];
const {{ accessToken }} = await app.acquireTokenByClientCredential({{ scopes }});
"""


def _dotnet(facts: CodeFacts) -> str:
    return f"""{facts.guard_note("//")}using Azure.Core;
using Azure.Identity;

var credential = new ClientSecretCredential(
    "{facts.tenant_id}",
    "{facts.client_id}",
    Environment.GetEnvironmentVariable("{SECRET_VARIABLE}"),
    new ClientSecretCredentialOptions {{
        AuthorityHost = new Uri("{facts.secure_base}"), // omit it for the real Entra
        DisableInstanceDiscovery = true, // the same
    }});
var token = await credential.GetTokenAsync(new TokenRequestContext([{json.dumps(facts.default_scope)}]));
"""


def raw_form(fields: Mapping[str, str]) -> str:
    """Return form fields as they are sent, form-urlencoded, with one field per line.

    A placeholder in angle brackets stays readable.
    """
    shown = (f"{n}={v}" if v.startswith("<") else urlencode({n: v}) for n, v in fields.items())
    return "\n&".join(shown)
