"""Checks on every call: access, size, time limit; correlation id and counters."""

import asyncio
import base64
import hmac
import re
import time
from collections.abc import Mapping
from ipaddress import ip_address
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from basis_pipeline.errors import BasisError, CommandError, correlation_id
from basis_pipeline.operations.audit_log import EventType, correlated, emit
from basis_pipeline.service.context import Context
from basis_pipeline.service.problems import problem, unexpected

LARGEST_BODY = 1_000_000  # bytes
SECONDS = 30.0
READING = ("GET", "HEAD", "OPTIONS")
OPEN = ("/health", "/health/ready")
STREAM = "/events/stream"
CORRELATION = "x-correlation-id"
NAMED = re.compile(r"[\w.-]{1,64}", re.ASCII)
SECURITY = {
    "content-security-policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; frame-ancestors 'none'; form-action 'self'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


class Guard:
    """The outermost middleware, which every call and every answer passes."""

    def __init__(self, app: ASGIApp, context: Context) -> None:
        self._app, self._context = app, context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a call on, or answer it with the error that rejects it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(CORRELATION, "")
        with correlated(given if NAMED.fullmatch(given) else uuid4().hex):
            await self._pass(scope, receive, _Answering(self._context, scope, send))

    async def _pass(self, scope: Scope, receive: Receive, send: "_Answering") -> None:
        settings = self._context.settings
        try:
            self._require_allowed(scope)
            async with asyncio.timeout(None if scope["path"] == STREAM else SECONDS):
                await self._app(scope, await _limited(scope, receive), send)
            return
        except TimeoutError:
            what = f"{scope['method']} {scope['path'][:200]} took more than {SECONDS:g} seconds"
            error: BasisError = CommandError("API-008", what)
        except BasisError as stopped:
            error = stopped
        except Exception as fault:  # noqa: BLE001 - the caller always gets an answer
            error = unexpected(fault)
            emit(settings, EventType.ERROR, "HTTP API", **error.as_json())
        if not send.has_begun:
            status = 401 if error.code == "API-006" and settings.api_token else None
            headers = {"www-authenticate": 'Basic realm="basis"'} if status else {}
            answer = problem(settings, error, status=status, headers=headers)
            await answer(scope, receive, send)

    def _require_allowed(self, scope: Scope) -> None:
        """Raise API-006 unless the caller may make the call.

        With a token set, calls that write and all calls from other machines need it. Without one
        only this machine may call, under one of its own names, so that a page of another site
        cannot.
        """
        headers, is_reading = Headers(scope=scope), scope["method"] in READING
        origin = headers.get("origin")
        if not is_reading and origin and origin.partition("//")[2] != headers.get("host"):
            raise CommandError("API-006", "the call comes from a page of another site")
        local = is_this_machine((scope.get("client") or ("",))[0])
        token = self._context.settings.api_token.get_secret_value()
        if token:
            is_free = scope["path"] in OPEN or local
            if not (is_reading and is_free) and not _carries(headers, token):
                raise CommandError("API-006", "the call carries no valid token")
        elif not local or not is_this_machine(_host(headers.get("host", ""))):
            raise CommandError("API-006", "no token is set: only this machine may call")


class _Answering:
    """Sends an answer with the common headers, and counts it."""

    def __init__(self, context: Context, scope: Scope, send: Send) -> None:
        self._context, self._scope, self._send = context, scope, send
        self._began, self.has_begun = time.perf_counter(), False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.has_begun = True
            headers = MutableHeaders(scope=message)
            headers[CORRELATION] = correlation_id()
            headers.update(SECURITY)
            self._count(message["status"])
        await self._send(message)

    def _count(self, status: int) -> None:
        route = self._scope.get("route")
        labels = (self._scope["method"], getattr(route, "path_format", None) or "none")
        if labels[0] not in (*READING, "POST", "DELETE"):
            labels = ("other", labels[1])
        self._context.calls.labels(*labels, status).inc()
        self._context.seconds.labels(*labels).observe(time.perf_counter() - self._began)


def is_this_machine(host: str) -> bool:
    """Say whether a name or an address is one of this machine's own."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _host(header: str) -> str:
    """Return the name or address of a Host header, without its port."""
    found = re.fullmatch(r"\[(.+)\](?::\d+)?|([^:]*)(?::\d+)?", header)
    return (found[1] or found[2]) if found else ""


def _carries(headers: Mapping[str, str], token: str) -> bool:
    """Say whether a call carries the token, as bearer or as the password of a browser login."""
    kind, _, given = headers.get("authorization", "").partition(" ")
    if kind.lower() == "basic":
        try:
            given = base64.b64decode(given, validate=True).decode().partition(":")[2]
        except ValueError:
            return False
    elif kind.lower() != "bearer":
        return False
    return hmac.compare_digest(given.encode(), token.encode())


async def _limited(scope: Scope, receive: Receive) -> Receive:
    """Read the body, and return a `Receive` that replays it. Raises API-007 when it is too big."""
    announced = Headers(scope=scope).get("content-length", "0")
    size, parts, more = int(announced) if announced.isdigit() else 0, [], True
    if scope["method"] in ("GET", "HEAD") and size == 0:
        return receive
    while more and size <= LARGEST_BODY:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        parts.append(message.get("body", b""))
        size, more = sum(map(len, parts)), message.get("more_body", False)
    if size > LARGEST_BODY:
        raise CommandError("API-007", f"the body has more than {LARGEST_BODY:,} bytes")
    pending = [{"type": "http.request", "body": b"".join(parts), "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay
