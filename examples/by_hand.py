"""Every step by hand, on the emulator: register, get a secret, request a token, call Graph."""

import httpx

from entra_guard.emulator import GRAPH, Emulator

with Emulator() as entra, httpx.Client() as web:
    app = entra.register_app("Reporting")
    secret = entra.add_secret(app)
    entra.grant(app, GRAPH, "User.Read.All")

    answer = web.post(
        f"{entra.authority}/oauth2/v2.0/token",
        data={
            "grant_type": "client_credentials",
            "client_id": app.client_id,
            "client_secret": secret.value,
            "scope": "https://graph.microsoft.com/.default",
        },
    )
    bearer = {"Authorization": f"Bearer {answer.raise_for_status().json()['access_token']}"}
    for user in web.get(f"{entra.url}/v1.0/users", headers=bearer).raise_for_status().json()["value"]:
        print(user["displayName"], user["userPrincipalName"])
