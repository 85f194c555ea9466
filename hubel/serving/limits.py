"""What the service takes and what it refuses, and how a refusal reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hubel.errors import InputError


@dataclass(frozen=True)
class Limits:
    """Settings that keep one caller from taking the machine from all others."""

    head: int = 64 << 10  # bytes of a request's first line and headers; browsers send some two thousand
    body: int = 32 << 20  # bytes of a request; a phone's largest photographs have about 20 MB
    pictures: int = 256  # in one request; more belong into several
    queue: int = 0  # pictures that wait at most; 0: as many as are answered in 0.3 s
    batch: int = 64  # pictures that go through a network together
    deadline: float = 10.0  # seconds from a request's first byte to its answer, or a question's begin
    workers: int = 8  # questions (maps, explanations) that may be in line for a network; then 503
    nesting: int = 32  # levels of brackets in JSON; pixels have three, a list of pictures four


class Refused(InputError):
    """A request that is turned away: its HTTP status, a word for the metrics, and what to do in the message."""

    def __init__(
        self, status: int, reason: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.http_status, self.reason, self.headers = status, reason, dict(headers or {})


def busy(reason: str, message: str, seconds: int = 1) -> Refused:
    """503, and when to come again."""
    return Refused(503, reason, message, {"Retry-After": str(seconds)})
