"""One request to a portal page: what it may read, and how it responds. The table entries of pages."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import parse_qs, quote

from entra_guard._escaping import shorten
from entra_guard.emulator._http.html import page
from entra_guard.emulator._http.messages import MAX_FIELDS, Response
from entra_guard.emulator._portal.frame import frame_context

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from entra_guard.emulator._directory.service import DirectoryService
    from entra_guard.emulator._http.messages import Request
    from entra_guard.emulator._portal.parts import PortalParts
    from entra_guard.emulator._store.directory import Directory
    from entra_guard.emulator._store.entries import Tenant

_MOST_DIGITS: Final = 15
# No other address is contacted, and forms go to the emulator only.
_POLICY = "connect-src 'self'; form-action 'self'"


@dataclass(frozen=True, slots=True)
class FieldError:
    """A mistake in a form: the id of the field, and what is wrong with it."""

    field: str
    text: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", shorten(self.text))


class NotFoundError(LookupError):
    """A page does not exist. The text says why; the address leads to one that does.

    Args:
        text: What is missing.
        address: A page that exists.
        label: The words of the link to it.
    """

    def __init__(self, text: str, address: str = "/", label: str = "Overview") -> None:
        super().__init__(shorten(text))
        self.address = address
        self.label = label


@dataclass(frozen=True, slots=True)
class Visit:
    """One request to a portal page.

    Attributes:
        parts: Everything that pages read and change.
        request: The request.
        tenant: The tenant that the portal shows.
        path: The values in the address, by name.
        fields: The fields of the form (POST) or of the query (GET). Of repeated fields, the first.
        once: What a redirect left for this page: a sentence, and a value.
    """

    parts: PortalParts
    request: Request
    tenant: Tenant
    path: Mapping[str, str]
    fields: Mapping[str, str] = field(repr=False)
    once: tuple[str, Any] = field(default=("", None), repr=False)

    @property
    def service(self) -> DirectoryService:
        return self.parts.service

    @property
    def directory(self) -> Directory:
        return self.parts.service.directory

    def now(self) -> float:
        return self.parts.service.store.now()

    def text(self, name: str) -> str:
        """Return a field without white space around it; an empty string if it is missing."""
        return self.fields.get(name, "").strip()

    def all(self, name: str) -> tuple[str, ...]:
        """Return all values of a repeated field, for example of ticked boxes."""
        sent = self.request.body.decode("utf-8", "replace")
        query = sent if self.request.method == "POST" else self.request.query
        return tuple(parse_qs(query, max_num_fields=MAX_FIELDS).get(name, ()))

    def render(
        self,
        template: str,
        *,
        title: str,
        crumbs: Sequence[tuple[str, str]] = (),
        status: int = 200,
        errors: Sequence[FieldError] = (),
        **context: Any,
    ) -> Response:
        """Render a page in the portal's frame.

        Args:
            template: A template that extends `portal.html`.
            title: The heading.
            crumbs: The pages above this one: address and name.
            status: The status of the response; 422 if there are errors.
            errors: Mistakes in the form, for `ui.error_summary` and `ui.field`.
            context: The values that the template uses.
        """
        return page(
            template,
            status=422 if errors and status == 200 else status,  # noqa: PLR2004 (HTTP's own numbers)
            policy=_POLICY,
            title=title,
            crumbs=tuple(crumbs),
            errors=tuple(errors),
            error_of={error.field: error.text for error in errors},
            fields=self.fields,
            notice=self.once[0],
            date=self.date,
            query="" if self.request.method == "POST" else self.fields.get("q", ""),
            **frame_context(self.parts, self.request, self.tenant),
            **context,
        )

    def redirect(self, address: str, *, notice: str = "", once: Any = None) -> Response:
        """Redirect after a form was processed, so that a reload does not send it again.

        Args:
            address: The address of a portal page.
            notice: A sentence that the page shows once.
            once: A value that the page finds in `visit.once[1]` at its first visit, for example a new secret.
        """
        if notice or once is not None:
            key = self.parts.stash.put((notice, once))
            path, hash_sign, anchor = address.partition("#")
            mark = "&" if "?" in path else "?"
            address = f"{path}{mark}once={key}{hash_sign}{anchor}"
        return Response(303, b"", (("Location", address), ("Cache-Control", "no-store")))

    def date(self, seconds: float) -> str:
        """Return a time as the portal shows it, in UTC."""
        return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%d %H:%M")


@dataclass(frozen=True, slots=True)
class PortalPage:
    """A page in the portal's table.

    Attributes:
        method: `GET`, or `POST` for a form.
        path: The address as a template: `/portal/apps/{app}`.
        handle: The function that responds.
        locked: Whether it runs with the store's lock. Without it, the guard can be called, which sends
            requests to this emulator.
    """

    method: Literal["GET", "POST"]
    path: str
    handle: Callable[[Visit], Response]
    locked: bool = True


def get(path: str, handle: Callable[[Visit], Response], *, locked: bool = True) -> PortalPage:
    """Return the table entry of a page that only reads."""
    return PortalPage("GET", path, handle, locked)


def post(path: str, handle: Callable[[Visit], Response], *, locked: bool = True) -> PortalPage:
    """Return the table entry of a form's target."""
    return PortalPage("POST", path, handle, locked)


def whole_number(text: str, default: int) -> int:
    """Return the number in a field or an address; the default for anything else, however long."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS else default


def segment(text: str) -> str:
    """Return a text as one segment of an address."""
    return quote(text, safe="")
