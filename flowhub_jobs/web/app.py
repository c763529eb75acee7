"""The ASGI application: all routes behind one guard; errors are answered as JSON or as a page."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio.to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Scope

from flowhub_jobs.errors import FlowhubError, InternalError, MethodNotAllowed, NotFound, SignInRequired, UsageInvalid
from flowhub_jobs.web import api, metrics, pages, share
from flowhub_jobs.web.call import Call, endpoint
from flowhub_jobs.web.guard import Guard
from flowhub_jobs.web.problems import problem_response
from flowhub_jobs.web.sign_in import COOKIE_S
from flowhub_jobs.web.web_context import WebContext

THREADS = 16  # of handlers at once; SQLite's pool has 32 connections


def create_app(context: WebContext, hosts: frozenset[str], *, port: int, share_is_open: bool) -> ASGIApp:
    """Return the ASGI application of an open home. `hosts`: the values of Host that it answers for, in lower case."""
    cookie = f"flowhub-{port}"  # browsers send a cookie to every port of its host
    routes: list[BaseRoute] = [
        Route("/sign-in", endpoint(_signs_in(cookie)), methods=["GET"]),
        *metrics.ROUTES,
        *api.ROUTES,
        *(share.ROUTES if context.share else []),
        *pages.ROUTES,
    ]
    app = Starlette(
        routes=routes,
        exception_handlers={FlowhubError: _flowhub_error, HTTPException: _http_error, Exception: _internal_error},
        lifespan=_lifespan_of(context),
    )
    return Guard(app, context, hosts, cookie, share_is_open, refuse)


def _lifespan_of(context: WebContext) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
        reader = asyncio.create_task(context.live.run(), name="live")
        yield
        reader.cancel()
        context.close()

    return lifespan


def _signs_in(cookie: str) -> Callable[[Call], Response]:
    def sign_in(call: Call) -> Response:
        """Exchange the ticket for a cookie, and take it out of the address."""
        value = call.context.sign_in.redeem(call.query("ticket") or "") if call.request.method == "GET" else None
        if value is None and not call.page_token:
            raise SignInRequired("This sign-in link is not valid: it was used already, or the server was restarted.")
        response = RedirectResponse("/", 303)
        if value is not None:
            response.set_cookie(cookie, value, max_age=COOKIE_S, httponly=True, samesite="strict")
        return response

    return sign_in


def refuse(scope: Scope, error: FlowhubError) -> Response:
    """Return the answer to a request that failed: a page for a browser that loads one, else problem+json."""
    request = Request(scope)
    if _wants_page(request):
        return pages.error_page(request, error)
    return problem_response(error)


def _wants_page(request: Request) -> bool:
    path = request.url.path
    return not path.startswith("/api/") and "text/html" in request.headers.get("accept", "")


async def _flowhub_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, FlowhubError)
    return refuse(request.scope, error)


async def _http_error(request: Request, error: Exception) -> Response:
    """Answer what Starlette itself refuses: a path without a route, a method that a route does not take."""
    assert isinstance(error, HTTPException)
    answer: FlowhubError
    if error.status_code == 404:
        answer = NotFound(f"There is nothing at {request.url.path[:200]}.")
    elif error.status_code == 405:
        answer = MethodNotAllowed(f"{request.url.path[:200]} does not take {request.method}.")
    else:
        answer = UsageInvalid(error.detail)
    response = refuse(request.scope, answer)
    response.headers.update(error.headers or {})
    return response


async def _internal_error(request: Request, error: Exception) -> Response:
    return refuse(request.scope, InternalError(f"{type(error).__name__}, in flowhub itself."))
