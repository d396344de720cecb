"""What users do in a browser, as methods: sign in to an app, approve a device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from entra_guard.emulator._oauth.authorize import new_code, parse_sign_in
from entra_guard.emulator._oauth.device import decide_device
from entra_guard.emulator._oauth.redirects import only_uri
from entra_guard.emulator._oauth.scopes import parse_scopes
from entra_guard.emulator._oauth.user_consent import consent_as

if TYPE_CHECKING:
    from entra_guard.emulator._directory.lookup import App, Person
    from entra_guard.emulator._directory.service import DirectoryService


class UserActions:
    """Act as a user, without a browser."""

    def __init__(self, service: DirectoryService) -> None:
        self._service = service

    def sign_in(
        self,
        client: App,
        user: Person = "alice",
        *,
        scope: str,
        redirect_uri: str | None = None,
        code_challenge: str = "",
        code_challenge_method: str = "S256",
        nonce: str = "",
    ) -> str:
        """Sign in and consent as a user, and return the authorization code that the client receives.

        Args:
            client: The app.
            user: The user who signs in.
            scope: The scopes of the authorize request.
            redirect_uri: One of the client's; by default its only one.
            code_challenge: The PKCE challenge.
            code_challenge_method: `S256` or `plain`.
            nonce: The nonce for the ID token.

        Raises:
            LookupError: The app or the user does not exist.
            EntraError: The authorize endpoint would refuse it.
        """
        store, lookup = self._service.store, self._service.lookup
        with store.lock:
            app = lookup.find_app(client)
            person = lookup.find_user(user, app.tenant_id)
            fields = {
                "client_id": app.client_id,
                "redirect_uri": redirect_uri or only_uri(app),
                "scope": scope,
                "nonce": nonce,
                "code_challenge": code_challenge,
                "code_challenge_method": code_challenge_method if code_challenge else "plain",
            }
            request = parse_sign_in(store, person.tenant_id, fields)
            consent_as(self._service, app, person, parse_scopes(scope))
            return new_code(store, request, person)

    def approve_device(self, user_code: str, user: Person = "alice") -> None:
        """Approve a device's sign-in, as the user does on the page that the device names.

        Raises:
            LookupError: The user code or the user does not exist.
        """
        with self._service.store.lock:
            decide_device(self._service, user_code, self._service.lookup.find_user(user).id)
