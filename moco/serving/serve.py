"""An agent from what its command line says: checked, its device started, then served until it is told to end."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import uvicorn

from moco.errors import ConfigError
from moco.experiment.yaml_text import plain_values
from moco.file_lock import FileLock
from moco.hardware.wire.connection import LOOPBACK
from moco.home import home
from moco.registry import DEFAULT_TARGET
from moco.secret import variable
from moco.serving.agent import Agent, device_of
from moco.serving.answers import Answers
from moco.serving.api import api_of
from moco.serving.device_process import TOKEN, DeviceProcess
from moco.serving.files import FileStore
from moco.serving.limits import Limits
from moco.whole_file import writes

SHORTEST_TOKEN = 16
GRACE_S = 3


@dataclass(frozen=True)
class ServeRequest:
    """What is served, and where.

    Attributes:
        settings: options of the target, as `key=value` with the value in YAML.
        folder: for files and answers; None takes `agent` in moco's home.
        certificate, private_key: files in PEM; both or none.
        plain_http: whether other machines may connect without TLS.
    """

    runtime: str = DEFAULT_TARGET
    settings: Sequence[str] = ()
    host: str = "127.0.0.1"
    port: int = 8080
    folder: Path | None = None
    certificate: Path | None = None
    private_key: Path | None = None
    plain_http: bool = False
    limits: Limits = field(default_factory=Limits)

    def with_max_mb(self, max_mb: float) -> ServeRequest:
        """The same with another limit of a file's size, in MB."""
        if not max_mb > 0:
            raise ConfigError(f"--max-mb: expected more than 0, got {max_mb:g}")
        return replace(self, limits=replace(self.limits, file_bytes=int(max_mb * 1e6)))


def serve(request: ServeRequest, tell: Callable[[str], object]) -> None:
    """Serve until SIGINT or SIGTERM; `tell` is given one line when the agent is ready.

    A ConfigError says what of the request, the token, the port, the certificate or the target does not work.
    """
    token, options = _token(), _options(request.settings)
    _check_reach(request)
    folder = request.folder or home() / "agent"
    with writes(f"{folder}: the agent's folder"):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / "lock", f"{folder}: another agent uses this folder", "give it --folder")
    with lock, _listening(request.host, request.port) as listening:
        asyncio.run(_served(request, token, options, folder, listening, tell))


async def _served(
    request: ServeRequest,
    token: str,
    options: Mapping[str, Any],
    folder: Path,
    listening: socket.socket,
    tell: Callable[[str], object],
) -> None:
    limits, files = request.limits, FileStore(folder / "files", request.limits.store_bytes)
    process = DeviceProcess(request.runtime, options, files.folder)
    try:
        about = await process.start()
        answers = Answers(folder / "answers", device_of(about), limits.answers, limits.answer_bytes)
        app = api_of(Agent(process, files, answers, limits), about, token)
        server = uvicorn.Server(_settings(app, request))
        scheme = "http" if request.certificate is None else "https"
        tell(f"{about['name']} at {scheme}://{request.host}:{listening.getsockname()[1]}, files in {folder}")
        await server.serve(sockets=[listening])
    finally:
        await process.end()


def _settings(app: Any, request: ServeRequest) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=request.limits.connections,
        timeout_graceful_shutdown=GRACE_S,
        ssl_certfile=request.certificate,
        ssl_keyfile=request.private_key,
    )


def _token() -> str:
    token = variable(f"${{{TOKEN}}}", "the token of `moco serve`")
    if len(token) < SHORTEST_TOKEN:
        raise ConfigError(f"{TOKEN}: expected at least {SHORTEST_TOKEN} characters, such as from: openssl rand -hex 32")
    return token


def _options(settings: Sequence[str]) -> dict[str, Any]:
    found = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or not name.strip():
            raise ConfigError(f"--set {setting}: expected key=value, such as threads=1")
        found[name.strip()] = plain_values(text, f"--set {setting}")
    return found


def _check_reach(request: ServeRequest) -> None:
    """Pass an agent that others reach by TLS or not at all, unless it was said that they may; a ConfigError else."""
    if (request.certificate is None) != (request.private_key is None):
        raise ConfigError("expected --cert and --key together, got one of them")
    if request.certificate is not None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(request.certificate, request.private_key)
        except OSError as error:  # ssl.SSLError is one
            raise ConfigError(f"--cert {request.certificate}, --key {request.private_key}: {error}") from None
    elif request.host not in LOOPBACK and not request.plain_http:
        why = "other machines would send the token unencrypted"
        raise ConfigError(f"--host {request.host}: {why}; give --cert and --key, or --plain-http")


def _listening(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=512)
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"cannot listen at {host}:{port}: {reason}") from None
