"""Checks of requests: only flowhub's own host names, only its own pages or a token, and only a limited size.

An ASGI application around the whole server, so that no route can be forgotten. The checks come in this order:
Host (421), Origin and Sec-Fetch-Site (403), sign-in (401), size of the body (413), the page's token (403).
"""

import asyncio
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flowhub_jobs.errors import (
    BodyTooLarge,
    FlowhubError,
    MisdirectedRequest,
    RequestForbidden,
    SignInRequired,
    UsageInvalid,
)
from flowhub_jobs.web.call import CONTEXT, SESSION, form_fields
from flowhub_jobs.web.sign_in import BrowserSession, is_same_token
from flowhub_jobs.web.web_context import WebContext

BODY_MAX = 1 << 20  # bytes; a list of ten thousand references fits
BODY_TIMEOUT_S = 30.0
PAGE_TOKEN_HEADER, PAGE_TOKEN_FIELD = "x-page-token", "page_token"
SAFE_METHODS = ("GET", "HEAD")
OPEN_PATHS = ("/healthz", "/metrics", "/sign-in")  # answer without a sign-in
OPEN_FOLDER = "/static/"
# What is shared with other machines, in the catalog's shape and in the Hub's: exactly the paths of web/share, whose
# routes come before all pages. A path that matches here and not there would reach a page without a sign-in.
SHARED = re.compile(
    r"/catalog\.json|/api/(models|datasets)(/.+)?|(/datasets)?/[^/]+/[^/]+/resolve/[^/]+/.+|/blobs/[^/]+"
)
BLOB = re.compile(r"/blobs/([0-9a-f]{64})")
# The one request of the Hub's protocol that reads with POST, since it names many files.
PATHS_INFO = re.compile(r"/api/(models|datasets)/[^/]+/[^/]+/paths-info/[^/]+")

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "font-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Not no-referrer: a browser would send `Origin: null` along with the page's own forms (Fetch, "append a request
    # Origin").
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


@dataclass(frozen=True, slots=True)
class Guard:
    """`hosts` are the values of Host that name this server, with their ports, in lower case.

    `refuse` makes the answer to a request that is not admitted. `share_is_open`: what is shared needs no token.
    """

    app: ASGIApp
    context: WebContext
    hosts: frozenset[str]
    cookie: str
    share_is_open: bool
    refuse: Callable[[Scope, FlowhubError], Response]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, _with_headers(send))

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[CONTEXT] = self.context
        try:
            session = self._admit(scope, is_node_request=await self._is_node_request(scope))
            scope[SESSION] = session
            body = b""
            if scope["method"] not in SAFE_METHODS:
                body = await _read_body(receive)
                if session is not None:
                    _require_page_token(session, Headers(scope=scope), body)
        except FlowhubError as error:
            await self.refuse(scope, error)(scope, receive, send)
        else:
            await self.app(scope, _replay_body(body, receive), send)

    async def _is_node_request(self, scope: Scope) -> bool:
        """Return whether another node of this database asks for a file with a credential for it."""
        blob = BLOB.fullmatch(scope["path"]) if self.context.share and scope["method"] in SAFE_METHODS else None
        authorization = Headers(scope=scope).get("authorization", "")
        if blob is None or not authorization:
            return False
        # In a thread: it may read the database.
        return await run_in_threadpool(self.context.node_authenticator.node_of, authorization, blob[1]) is not None

    def _admit(self, scope: Scope, *, is_node_request: bool) -> BrowserSession | None:
        """Return the browser's session; None for a program, and for what needs no sign-in. Raises FlowhubError."""
        headers = Headers(scope=scope)
        host = _one_host(headers, self.hosts)
        _refuse_foreign(headers, host)
        session = self._session(headers)
        if session is not None or is_node_request or self._is_open(scope) or self._has_token(headers, scope["path"]):
            return session
        raise SignInRequired("This URL needs a sign-in.")

    def _session(self, headers: Headers) -> BrowserSession | None:
        for text in headers.getlist("cookie"):
            try:
                morsel = SimpleCookie(text).get(self.cookie)
            except CookieError:
                continue
            if morsel is not None and (session := self.context.sign_in.session(morsel.value)):
                return session
        return None

    def _is_open(self, scope: Scope) -> bool:
        path = scope["path"]
        reads = scope["method"] in SAFE_METHODS or (scope["method"] == "POST" and PATHS_INFO.fullmatch(path))
        if not reads:
            return False
        open_share = self.share_is_open and self._is_shared(path)
        return path in OPEN_PATHS or path.startswith(OPEN_FOLDER) or open_share

    def _has_token(self, headers: Headers, path: str) -> bool:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return False
        sign_in = self.context.sign_in
        return sign_in.may_read_share(token.strip()) if self._is_shared(path) else sign_in.is_token(token.strip())

    def _is_shared(self, path: str) -> bool:
        return self.context.share and SHARED.fullmatch(path) is not None


def _one_host(headers: Headers, hosts: Iterable[str]) -> str:
    """Return the request's Host, if it names this server. Raises MisdirectedRequest (RFC 9110 §15.5.20)."""
    values = headers.getlist("host")
    if len(values) == 1 and values[0].lower() in hosts:
        return values[0].lower()
    raise MisdirectedRequest("This server does not answer for that host.")


def _refuse_foreign(headers: Headers, host: str) -> None:
    """Raise RequestForbidden for a request that a page of another origin makes."""
    own_origins = (f"http://{host}", f"https://{host}")  # https: a proxy in front of the server that ends TLS
    if any(origin.lower() not in own_origins for origin in headers.getlist("origin")):
        raise RequestForbidden("The request comes from a page of another site.")
    if any(site not in ("same-origin", "none") for site in headers.getlist("sec-fetch-site")):
        raise RequestForbidden("The request comes from a page of another site.")


def _require_page_token(session: BrowserSession, headers: Headers, body: bytes) -> None:
    token = headers.get(PAGE_TOKEN_HEADER) or ""
    if not token and headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        try:
            token = form_fields(body).get(PAGE_TOKEN_FIELD, [""])[0]
        except UsageInvalid:
            token = ""
    if not is_same_token(token, session.page_token):
        raise RequestForbidden("The change does not carry the page's token.", hint="Load the page again.")


async def _read_body(receive: Receive) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":  # what came of the body must not pass for all of it
                    raise UsageInvalid("The connection ended before the body did.")
                body += message.get("body", b"")
                if len(body) > BODY_MAX:
                    raise BodyTooLarge(f"The body is larger than {BODY_MAX:,} bytes.")
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise UsageInvalid(f"The body did not arrive within {BODY_TIMEOUT_S:.0f} s.") from None


def _replay_body(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def replay() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _with_headers(send: Send) -> Send:
    async def send_with(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("cache-control", "no-store")
        await send(message)

    return send_with
