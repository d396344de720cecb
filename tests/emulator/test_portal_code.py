"""The code that the portal's pages offer to copy runs, with the framework that it is for."""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest

from entra_guard.emulator import Emulator
from entra_guard.emulator._portal.code.snippets import CodeFacts, client_tabs, guard_tabs

if TYPE_CHECKING:
    from pathlib import Path

    from entra_guard.testing import Entra

FACTS = CodeFacts(
    base="http://localhost:8787",
    https_base="https://localhost:8788",
    ca_bundle="/home/me/ca.pem",
    tenant_id="c0c05a00-1d00-4a11-8b0b-0c0a11ce0001",
    api_id="7a5c0a91-0000-4000-8000-00000000a901",
    default_scope="api://7a5c0a91-0000-4000-8000-00000000a901/.default",
    scope="api://7a5c0a91-0000-4000-8000-00000000a901/access_as_user",
    role="Orders.Read",
    client_id="7a5c0a91-0000-4000-8000-00000000da30",
    page_uri="http://localhost:8000/",
)


PYTHON = ("Python guard", "FastAPI", "Flask", "Django", "Our credentials", "MSAL Python", "azure-identity")


@pytest.mark.parametrize("label", PYTHON)
def test_code_to_copy_compiles(label: str) -> None:
    text = dict([*guard_tabs(FACTS), *client_tabs(FACTS)])[label]
    compile(text, label, "exec")
    assert FACTS.tenant_id in text


@pytest.mark.parametrize("label", ["FastAPI", "Flask"])
def test_the_code_for_a_framework_guards_an_api(entra: Entra, label: str) -> None:
    facts = {"base": entra.url, "tenant_id": entra.tenant_id, "api_id": entra.api.client_id}
    chosen = CodeFacts(**{**{n: getattr(FACTS, n) for n in FACTS.__slots__}, **facts, "role": "Orders.Read"})
    names: dict[str, Any] = {"__name__": "copied", "web": entra.http_client}
    text = dict(guard_tabs(chosen))[label].replace("authority=", "http_client=web, authority=")
    exec(compile(text, label, "exec"), names)
    web = entra.client(names["app"], roles=["Orders.Read"])
    assert web.get("/orders").status_code == 200
    assert entra.client(names["app"], roles=["Orders.Write"]).get("/orders").status_code == 403


DJANGO: Final = """
import os, django
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
django.setup()
from django.test import Client
for token in os.environ["TOKENS"].split():
    print(Client().get("/orders", headers={"Authorization": f"Bearer {token}"}).status_code)
print(Client().get("/orders").status_code)
"""


def test_the_code_for_django_guards_a_project_that_is_made_of_it(tmp_path: Path) -> None:
    with Emulator() as entra:
        api = entra.register_app("Orders", app_roles=["Orders.Read"])
        address = f"{entra.url}/portal/connect?api={api.client_id}"
        shown = html.unescape(httpx.get(address, headers={"accept": "text/html"}).text)
        text = re.findall(r"<pre[^>]*>(# settings.py.*?)</pre>", shown, re.DOTALL)[0]
        settings, _, views = text.partition("# views.py")
        more = 'SECRET_KEY = "x"\nROOT_URLCONF = "urls"\nALLOWED_HOSTS = ["testserver"]\n'
        (tmp_path / "settings.py").write_text(settings + more)
        (tmp_path / "views.py").write_text(views)
        (tmp_path / "urls.py").write_text(
            'import views\nfrom django.urls import path\nurlpatterns = [path("orders", views.orders)]\n'
        )
        tokens = [entra.issue_token(api, roles=["Orders.Read"]), entra.issue_token(api)]
        paths = [str(tmp_path), *sys.path]
        variables = {**os.environ, "TOKENS": " ".join(tokens), "PYTHONPATH": os.pathsep.join(paths)}
        command = [sys.executable, "-c", DJANGO]
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["200", "403", "401"], done.stderr


@pytest.mark.parametrize("page", [True, False], ids=["page", "daemon"])
def test_the_code_for_msal_js_fits_the_client(page: bool) -> None:
    with Emulator() as entra:
        samples = entra.add_samples()
        client = samples.page if page else samples.daemon
        shown = httpx.get(f"{entra.url}/portal/connect?client={client.client_id}").text
    assert ("@azure/msal-browser" in shown, "@azure/msal-node" in shown) == (page, not page)
    assert ("redirectUri: &#34;http://localhost:8000/&#34;" in shown) == page
