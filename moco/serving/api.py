"""The agent's HTTP interface (docs/remote_devices.md): files by SHA-256, jobs by key, and what the target is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from importlib.metadata import version
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.security import HTTPBearer
from starlette.requests import ClientDisconnect
from starlette.routing import Route

from moco.errors import escaped
from moco.serving.agent import Agent, LostError, MissingError, NotYetError
from moco.serving.gate import Gate
from moco.serving.jobs import digest
from moco.serving.limits import Limits
from moco.serving.requests import (
    About,
    Alive,
    Answer,
    LayersRequest,
    MeasureRequest,
    OpenRequest,
    RunRequest,
    SnippetRequest,
    Told,
    Waiting,
)

Name = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the file's bytes")]
Key = Annotated[str, Header(alias="Idempotency-Key", pattern=r"^[A-Za-z0-9_.:-]{8,128}$")]
KeyInPath = Annotated[str, Path(pattern=r"^[A-Za-z0-9_.:-]{8,128}$")]
DeviceHeader = Annotated[str | None, Header(alias="Moco-Device", description="`device` of GET /target")]

RAW = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
Responses = dict[int | str, dict[str, Any]]
REFUSED: Responses = {
    401: {"model": Told, "description": "No token, or another one"},
    408: {"model": Told, "description": "The body took too long"},
    413: {"model": Told, "description": "The body is too long"},
    503: {"model": Told, "description": "No room now, or the device is lost: come again after Retry-After seconds"},
}
BODY: Responses = {400: {"model": Told, "description": "The body is no JSON, or was cut short"}}
JOB: Responses = {
    **REFUSED,
    **BODY,
    202: {"model": Waiting, "description": "Not done yet: send the same request again"},
    404: {"model": Told, "description": "Files are missing: send them, and then this again"},
    409: {
        "model": Told,
        "description": "The key is another request's, the job was cancelled, or another target is here",
    },
}
LOGITS: Responses = {
    200: {"content": RAW, "description": "Raw float32 logits, their sizes in Moco-Shape; or how it failed"}
}


def api_of(agent: Agent, about: Mapping[str, Any], token: str) -> FastAPI:
    """The application; `about` is what the target has said of itself."""

    @asynccontextmanager
    async def working(_: FastAPI) -> AsyncIterator[None]:
        work = asyncio.create_task(agent.jobs.work())
        yield
        work.cancel()
        agent.process.kill()
        with suppress(asyncio.CancelledError):
            await work

    app = FastAPI(title="moco serve", version=version("moco"), lifespan=working, docs_url=None, redoc_url=None)
    app.add_middleware(Gate, token=token, limits=agent.limits)
    _tell_errors(app, agent.limits)
    _add_target(app, {**about, "device": agent.answers.device})
    _add_files(app, agent)
    _add_jobs(app, agent)
    return app


def _tell_errors(app: FastAPI, limits: Limits) -> None:
    @app.exception_handler(NotYetError)
    async def not_yet(_: Request, error: NotYetError) -> JSONResponse:
        return JSONResponse(dict(error.args[0]), 202)

    @app.exception_handler(MissingError)
    async def missing(_: Request, error: MissingError) -> JSONResponse:
        return JSONResponse({"detail": "these files are not here", "missing": error.args[0]}, 404)

    @app.exception_handler(LostError)
    async def lost(_: Request, error: LostError) -> JSONResponse:
        told = {"detail": f"the device does not answer: {error.args[0]}", "lost": True}
        return JSONResponse(told, 503, {"Retry-After": str(limits.retry_after_s)})

    @app.exception_handler(RequestValidationError)
    async def unreadable(_: Request, error: RequestValidationError) -> JSONResponse:
        """Quotes nothing that was sent: of an infinite number, or half a surrogate, no JSON can be made."""
        told = [
            {"type": one["type"], "msg": escaped(one["msg"]), "loc": [_place(part) for part in one["loc"]]}
            for one in error.errors()
        ]
        return JSONResponse({"detail": told}, 422)

    @app.exception_handler(HTTPStatus.METHOD_NOT_ALLOWED)
    async def not_allowed(request: Request, error: HTTPException) -> JSONResponse:
        """Names the methods of all of the path's routes, where the routes themselves name the first one's."""
        path = request.scope["path"]
        here = [route for route in app.routes if isinstance(route, Route) and route.path_regex.match(path)]
        methods = sorted({method for route in here for method in route.methods or ()})
        return JSONResponse({"detail": error.detail}, error.status_code, {"Allow": ", ".join(methods)})


def _place(part: int | str) -> int | str:
    return escaped(part) if isinstance(part, str) else part


_SECURED = [Depends(HTTPBearer(auto_error=False))]
"""For the OpenAPI alone: the gate has looked at the token before."""


def _add_target(app: FastAPI, about: Mapping[str, Any]) -> None:
    @app.get("/health")
    async def health() -> Alive:
        """Whether the agent lives; needs no token and tells nothing else."""
        return Alive(alive=True)

    @app.get("/target", dependencies=_SECURED, responses=REFUSED)
    async def target() -> About:
        """The target: name, capabilities, versions, description, findings."""
        return About(**about)


def _add_files(app: FastAPI, agent: Agent) -> None:
    created: Responses = {201: {"description": "It is here now"}}
    absent: Responses = {404: {"description": "It is not here"}}

    @app.head("/files/{sha256}", dependencies=_SECURED, response_class=Response, responses={**REFUSED, **absent})
    async def look(sha256: Name) -> Response:
        """Whether the file is here."""
        return Response(status_code=200 if agent.files.has(sha256) else 404)

    @app.put(
        "/files/{sha256}",
        dependencies=_SECURED,
        response_class=Response,  # empty, and no JSON
        responses={**REFUSED, **BODY, **created},
        openapi_extra={"requestBody": {"required": True, "content": RAW}},
    )
    async def keep(sha256: Name, request: Request) -> Response:
        """Keep a file, whose bytes are the body; 200 where it was here."""
        if agent.files.has(sha256):
            return Response(status_code=200, headers={"Connection": "close"})
        if agent.uploads.locked():
            raise agent.busy("too many uploads at a time")
        async with agent.uploads:
            try:
                got = await agent.files.receive(sha256, request.stream())
            except ClientDisconnect:
                raise HTTPException(400, "the body was cut short") from None
            except OSError as error:
                raise agent.busy(f"the file cannot be written: {error.strerror}") from None
        if got != sha256:
            raise HTTPException(400, f"expected a body of SHA-256 {sha256}, got {got}")
        return Response(status_code=201)


def _add_jobs(app: FastAPI, agent: Agent) -> None:
    unknown: Responses = {404: {"model": Told}}

    @app.post("/open", dependencies=_SECURED, responses=JOB)
    async def opened(given: OpenRequest, device: DeviceHeader = None) -> Answer:
        """Open a file on the runtime: `input_shape` of one image."""
        job = {"kind": "open", **given.model_dump()}
        return Answer(**await agent.job(digest(job), job, [given.file], device))

    @app.post("/run", dependencies=_SECURED, responses={**JOB, **LOGITS}, response_model=Answer)
    async def run(given: RunRequest, device: DeviceHeader = None) -> Any:
        """Logits of images: raw float32 (n, classes), whose sizes are in the header Moco-Shape."""
        job = {"kind": "run", **given.model_dump()}
        key = digest(job)
        found = await agent.job(key, job, [given.file, given.images], device)
        if found["state"] == "failed":
            return Answer(**found)
        shape = ",".join(map(str, found["shape"]))
        logits = agent.answers.path(key).with_suffix(".f32")
        if not logits.exists():
            raise LostError("the logits are no longer kept")
        return FileResponse(logits, media_type="application/octet-stream", headers={"Moco-Shape": shape})

    @app.post("/measure", dependencies=_SECURED, responses=JOB)
    async def measure(given: MeasureRequest, key: Key, device: DeviceHeader = None) -> Answer:
        """Time files interleaved: `measurement`, with raw samples. One key is measured once."""
        job = {"kind": "measure", **given.model_dump()}
        return Answer(**await agent.job(key, job, list(given.files), device))

    @app.post("/layers", dependencies=_SECURED, responses=JOB)
    async def layers(given: LayersRequest, key: Key, device: DeviceHeader = None) -> Answer:
        """Time a file's operators: `layers`, null where the runtime tells of none. One key is measured once."""
        job = {"kind": "layers", **given.model_dump()}
        return Answer(**await agent.job(key, job, [given.file], device))

    @app.delete("/measure/{key}", dependencies=_SECURED, responses={**REFUSED, **unknown}, status_code=204)
    async def cancel(key: KeyInPath) -> Response:
        """End a measurement, of files or of their operators, that waits or runs."""
        if not agent.jobs.cancel(key):
            raise HTTPException(404, "no measurement of that key waits or runs")
        return Response(status_code=204)

    @app.post("/snippet", dependencies=_SECURED, responses=JOB)
    async def snippet(given: SnippetRequest, device: DeviceHeader = None) -> Answer:
        """Python that runs a file under the target's runtime: `snippet`."""
        job = {"kind": "snippet", **given.model_dump()}
        return Answer(**await agent.job(digest(job), job, [], device))
