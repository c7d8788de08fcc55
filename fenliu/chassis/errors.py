"""The five kinds of error that the chassis knows how to answer. Everything else is a bug.

An error is defined beside the function that raises it and inherits from one kind here. Its docstring is its default
message, so it is written for the person who will read it.
"""

from __future__ import annotations

from typing import Any, ClassVar


class FenliuError(Exception):
    """Something went wrong that the code knows how to name."""

    slug: ClassVar[str] = "internal-error"
    """Stable name; the last part of the problem's `type` address."""

    http_status: ClassVar[int] = 500
    """Status of the answer. Each kind has its own; a class may name a closer one (Malformed: 422 for a reused key)."""

    def __init__(self, detail: str | None = None, **extra: Any) -> None:
        """detail: one or two sentences for the reader; absent, the class's docstring. extra: fields of the problem."""
        self.detail = detail or (type(self).__doc__ or "").strip()
        self.extra = extra
        super().__init__(self.detail)


class Malformed(FenliuError):
    """The input cannot be understood, and never will be. Sending it again changes nothing."""

    slug = "malformed"
    http_status = 400


class Transient(FenliuError):
    """Something that is needed does not answer just now. Try again after a short wait."""

    slug = "temporarily-unavailable"
    http_status = 503

    def __init__(self, detail: str | None = None, *, retry_after_s: float | None = None, **extra: Any) -> None:
        """retry_after_s: seconds after which a new attempt makes sense; None leaves it to the caller's backoff."""
        super().__init__(detail, **extra)
        self.retry_after_s = retry_after_s


class Conflict(FenliuError):
    """The request does not fit the present state. Read the present state, then decide again."""

    slug = "conflict"
    http_status = 409


class NotFound(FenliuError):
    """There is nothing here under this name that you may see."""

    slug = "not-found"
    http_status = 404


class Forbidden(FenliuError):
    """Your token does not allow this. Ask whoever issued it for the role named here."""

    slug = "forbidden"
    http_status = 403
