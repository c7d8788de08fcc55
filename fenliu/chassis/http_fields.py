"""The shapes of requests and lists: strict models, identifiers, free text, pages and cursors."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

import orjson
from fastapi import Depends, Query
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, Strict, StringConstraints

from fenliu.chassis.errors import Malformed

T = TypeVar("T")

# Written so that JSON Schema, Python and Rust read the expressions alike: no \s, no \p{…}.
_UNSEEN = r"\x00-\x20\x7f-\xa0\u1680\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff"
_CONTROL = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"

_NAME = f"^[^{_UNSEEN}]+$"
_FREE_TEXT = f"^[^{_CONTROL}]*[^{_UNSEEN}][^{_CONTROL}]*$"
_RAW_TEXT = r"^[^\x00]*$"
_CURSOR = "^[A-Za-z0-9_-]*$"

PATTERNS = {
    _NAME: "Must consist of visible characters: no blanks, no control characters, nothing invisible.",
    _FREE_TEXT: "Must have a visible character, and no control characters besides line ends and tabs.",
    _RAW_TEXT: "Must not contain U+0000.",
    _CURSOR: "Must be `next` of the page before, as it is.",
}
"""What to tell people instead of the expression that their input does not match."""

Identifier = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=_NAME)]
"""Name of a thing: 1 to 128 visible characters; no blanks, no control characters, nothing invisible."""


def Text(max_length: int) -> StringConstraints:
    """Free text of 1 to `max_length` characters: `text: Annotated[str, Text(4000)]`.

    At least one visible character; line ends and tabs are welcome, other control characters are not. Stored verbatim.
    """
    return StringConstraints(min_length=1, max_length=max_length, pattern=_FREE_TEXT)


def RawText(max_length: int) -> StringConstraints:
    """Any text of at most `max_length` characters but U+0000, also none at all."""
    return StringConstraints(max_length=max_length, pattern=_RAW_TEXT)


def _whole(value: object) -> object:
    return int(value) if type(value) is float and value.is_integer() else value


Whole = BeforeValidator(_whole)
"""Takes 5.0 for an integer, as JSON Schema does: `Annotated[int, Field(ge=1), Whole]`, behind its bounds.

In front of them it would hide them from the schema.
"""

Moment = Annotated[AwareDatetime, Strict(False)]
"""A moment in a request body: RFC 3339 text with a zone. (A strict datetime would refuse text.)"""


NO_OTHER_NAMES: dict[str, Any] = {"additionalProperties": False}
"""json_schema_extra of a dict whose names must fit a pattern: the schema itself would let others pass unchecked."""


class StrictModel(BaseModel):
    """A request body: types as written in the schema, no others ("1" is no number, true is no 1), no unknown fields.

    Fields that JSON has no type for need leave: `Moment` for a datetime, `Annotated[Decimal, Strict(False)]`.
    """

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)


class Page(BaseModel, Generic[T]):
    """One page of a list."""

    items: list[T]
    next: str | None = Field(None, description="Cursor of the following page; null on the last.")


def page(items: Sequence[T], next: str | None) -> Page[T]:
    """The answer of a list route. next: what `Cursor.encode` made of the last item, or None where nothing follows."""
    return Page.model_construct(items=list(items), next=next)


class BadCursor(Malformed):
    """This cursor was not made by this list. Start again without one."""

    slug = "bad-cursor"
    http_status = 422


class Cursor:
    """Opaque position in a list: what the last item was sorted by. Not signed: it only says where to go on."""

    @staticmethod
    def encode(*parts: str | int | float | datetime | None) -> str:
        """URL-safe text of `parts`; datetimes travel as RFC 3339."""
        return base64.urlsafe_b64encode(orjson.dumps(parts)).rstrip(b"=").decode()

    @staticmethod
    def decode(text: str | None, *types: type) -> tuple[Any, ...] | None:
        """The parts again, of exactly `types`; None for None. Raises BadCursor for what encode did not make."""
        if text is None:
            return None
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            parts = orjson.loads(raw)
            if not isinstance(parts, list) or len(parts) != len(types):
                raise BadCursor()
            return tuple(_part(part, kind) for part, kind in zip(parts, types, strict=True))
        except (binascii.Error, ValueError) as error:
            raise BadCursor() from error


def _part(part: Any, kind: type) -> Any:
    if kind is datetime and isinstance(part, str):
        moment = datetime.fromisoformat(part)
        if moment.tzinfo is None:
            raise BadCursor()
        return moment
    if type(part) is not kind or (isinstance(part, str) and ("\0" in part or len(part) > 512)):
        raise BadCursor()
    if isinstance(part, int) and not -(2**63) <= part < 2**63:
        raise BadCursor()
    return part


class Paging:
    """`limit` and `cursor` of a list route: `async def list_things(paging: Paged, …)`.

    limit   1 to 200, default 50.
    cursor  None on the first page; read it with `Cursor.decode(paging.cursor, datetime, str)`.
    """

    __slots__ = ("cursor", "limit")

    def __init__(
        self,
        limit: Annotated[int, Query(ge=1, le=200, description="Most items on a page.")] = 50,
        cursor: Annotated[
            str | None,
            Query(max_length=1024, pattern=_CURSOR, description="`next` of the page before; absent: the first page."),
        ] = None,
    ) -> None:
        self.limit = limit
        self.cursor = cursor


Paged = Annotated[Paging, Depends(Paging)]
