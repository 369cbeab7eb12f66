"""How much an agent takes at a time: of bytes, requests, seconds and disk."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What is refused beyond; memory does not grow with any of it, but for `body_bytes` and `connections`."""

    file_bytes: int = 256_000_000  # of one file, streamed to disk: 413
    body_bytes: int = 1_000_000  # of any other request: 413
    uploads: int = 4  # at the same time: 503
    upload_s: float = 120.0  # for one file: 408
    body_s: float = 20.0  # for the body of any other request: 408
    store_bytes: int = 4_000_000_000  # of all files kept; those not used for longest go
    queue: int = 64  # jobs that wait for the device: 503
    connections: int = 256  # open at the same time: 503
    wait_s: float = 15.0  # how long a request waits for its job before it is told to ask again: 202
    lease_s: float = 60.0  # how long a waiting job is kept that nobody asks about
    job_s: float = 3600.0  # for one job on the device; then its process is ended
    answers: int = 4000  # kept on disk by key; the oldest go
    answer_bytes: int = 1_000_000_000  # of all of them
    retry_after_s: int = 2
