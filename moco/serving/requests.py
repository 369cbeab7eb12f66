"""What clients may send, and what they are answered, as pydantic models: the agent's OpenAPI is made of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _whole(given: Any) -> Any:
    """An integer that is written with a point, as 3.0, is one in JSON and its schema; anything else as it is."""
    return int(given) if isinstance(given, float) and given.is_integer() else given


WHOLE = BeforeValidator(_whole)
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Size = Annotated[int, Field(ge=1, le=1_000_000), WHOLE]


class Request(BaseModel):
    """Nothing is converted, nothing unknown taken."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


class OpenRequest(Request):
    """A file to open."""

    file: Sha256


class RunRequest(Request):
    """A file to run, and the file of raw little-endian float32 images (n, channels, height, width)."""

    file: Sha256
    images: Sha256
    shape: Annotated[list[Size], Field(min_length=2, max_length=6)]


class Plan(Request):
    """A `moco.measurement.TimingPlan`."""

    batch: Annotated[int, Field(ge=1, le=4096), WHOLE]
    seconds: Annotated[float, Field(ge=0, le=3600)]
    slot_ms: Annotated[float, Field(ge=0, le=60_000)]
    min_slots: Annotated[int, Field(ge=1, le=100_000), WHOLE]
    warmup_calls: Annotated[int, Field(ge=0, le=10_000), WHOLE]
    seed: Annotated[int, Field(ge=0, le=1 << 53), WHOLE]
    confidence: Annotated[float, Field(gt=0, lt=1)]
    reopening_sd: Annotated[float, Field(ge=0, le=1)]
    series: Annotated[list[Annotated[str, Field(pattern=r"^\w{1,40}$")]], Field(max_length=20)]
    standard_error: Annotated[float, Field(gt=0, lt=1)] | None = None
    most_seconds: Annotated[float, Field(ge=0, le=3600)] = 0.0
    tail_calls: Annotated[int, Field(ge=1, le=1_000_000), WHOLE] = 100
    deadline_ms: Annotated[float, Field(gt=0)] | None = None


class MeasureRequest(Request):
    """Files to time interleaved, the first is the reference."""

    files: Annotated[list[Sha256], Field(min_length=1, max_length=64)]
    plan: Plan


class LayersRequest(Request):
    """A file whose operators are timed, over so many calls of so many images."""

    file: Sha256
    batch: Annotated[int, Field(ge=1, le=4096), WHOLE]
    calls: Annotated[int, Field(ge=1, le=1000), WHOLE]


class SnippetRequest(Request):
    """What a program that runs a file is made for."""

    file: Annotated[str, Field(max_length=1000)]
    input_shape: Annotated[list[Size], Field(max_length=6)] | None = None
    normalize: Annotated[list[list[float]], Field(min_length=2, max_length=2)] | None = None


class Answer(BaseModel):
    """What became of a job; further keys are the answer's own."""

    model_config = ConfigDict(extra="allow")

    state: Literal["done", "failed"]
    reason: str | None = None


class Waiting(BaseModel):
    """It is not done yet: send the same request again."""

    state: Literal["waiting"]
    ahead: int


class Told(BaseModel):
    """Why a request was refused."""

    detail: str
    missing: list[str] = []
    lost: bool = False


class About(BaseModel):
    """The target, and what it can."""

    format: int
    device: str
    name: str
    capabilities: dict[str, Any]
    versions: dict[str, str]
    describe: dict[str, Any]
    findings: list[dict[str, Any]]


class Alive(BaseModel):
    """The agent lives."""

    alive: bool
