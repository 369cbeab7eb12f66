"""What every request passes before anything of it is read: the token, then limits of its bytes and its seconds."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from moco.serving.limits import Limits

OPEN_PATHS = frozenset({"/health", "/openapi.json"})
FILES = "/files/"


class Gate:
    """The application behind it sees a request only with the token, and of its body no more than is allowed."""

    def __init__(self, app: ASGIApp, token: str, limits: Limits) -> None:
        """Guard the application."""
        self._app, self._token, self._limits = app, token.encode(), limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers, is_file = Headers(scope=scope), scope["path"].startswith(FILES)
        most = self._limits.file_bytes if is_file else self._limits.body_bytes
        if scope["path"] not in OPEN_PATHS and not self._knows(headers.get("authorization", "")):
            refused = _refusal(HTTPStatus.UNAUTHORIZED, "expected the agent's token", {"WWW-Authenticate": "Bearer"})
            await refused(scope, receive, send)
        elif _length(headers) > most:
            await _refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _too_large(most))(scope, receive, send)
        else:
            seconds = self._limits.upload_s if is_file else self._limits.body_s
            await self._app(scope, _limited(receive, most, seconds), send)

    def _knows(self, authorization: str) -> bool:
        kind, _, given = authorization.partition(" ")
        return kind.lower() == "bearer" and secrets.compare_digest(given.strip().encode(), self._token)


def _limited(receive: Receive, most: int, seconds: float) -> Receive:
    """`receive` that raises 413 or 408 where the body is too long or takes too long."""
    loop = asyncio.get_running_loop()
    end, got, complete = loop.time() + seconds, 0, False

    async def limited() -> Message:
        nonlocal got, complete
        if complete:  # what comes now is that the client goes away, whenever it does
            return await receive()
        try:
            async with asyncio.timeout_at(end):
                message = await receive()
        except TimeoutError:
            raise HTTPException(HTTPStatus.REQUEST_TIMEOUT, f"expected the body within {seconds:g} s") from None
        got += len(message.get("body", b""))
        complete = not message.get("more_body", False)
        if got > most:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _too_large(most))
        return message

    return limited


def _length(headers: Headers) -> int:
    text = headers.get("content-length", "0")
    return int(text) if text.isdecimal() else 0


def _too_large(most: int) -> str:
    return f"expected at most {most} bytes"


def _refusal(status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"detail": detail}, status, {"Connection": "close", **(headers or {})})
