"""Who calls: tokens with tenant and roles, publishable browser keys, status links."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from fenliu.chassis.errors import Forbidden

ROLES = ("storefront", "customer", "agent", "supervisor", "integration", "admin")
"""Role names are data: the chassis attaches no meaning to them except that `admin` may do everything in its tenant."""

ISSUER = "fenliu"
AUDIENCE = "fenliu"
ALGORITHMS = ["HS256"]
LEEWAY_S = 30
"""Seconds by which the clocks of issuer and verifier may differ."""

MAX_TOKEN_CHARS = 4096
MAX_ID_CHARS = 128


class InvalidToken(Forbidden):
    """The token is missing, expired or not signed by us. Ask for a new one (`fenliu token`)."""

    slug = "invalid-token"
    http_status = 401


@dataclass(frozen=True, slots=True)
class Principal:
    """A verified caller. subject: customer id, agent id or name of an integration."""

    tenant_id: str
    subject: str
    roles: frozenset[str]
    browser_key: bool = False

    def has(self, *roles: str) -> bool:
        """True where the caller holds one of `roles`, or is an admin."""
        return "admin" in self.roles or not self.roles.isdisjoint(roles)


@dataclass(frozen=True, slots=True)
class BrowserKey:
    """A publishable key for web pages: may only create, and only from the listed origins (scheme://host[:port])."""

    key: str
    tenant_id: str
    origins: tuple[str, ...]


def split_keys(keys: str) -> tuple[str, ...]:
    """The keys of a setting "new,old": the first signs, all verify. Raises ValueError where one has < 32 characters."""
    parts = tuple(part.strip() for part in keys.split(",") if part.strip())
    if not parts or any(len(part) < 32 for part in parts):
        raise ValueError(
            "a signing key needs at least 32 characters; several are separated by commas, the newest first"
        )
    return parts


class Tokens:
    """Issues and verifies API tokens (JWT, HS256). `key` may hold several keys, "new,old", while they are rotated."""

    def __init__(self, key: str, *, cached: int = 10_000) -> None:
        """cached: most verified tokens to remember; each until it expires."""
        self._keys = [OctKey.import_key(part) for part in split_keys(key)]
        self._known: OrderedDict[bytes, tuple[Principal, float, float]] = OrderedDict()
        self._cached = cached

    def issue(self, tenant_id: str, roles: Iterable[str], subject: str, ttl_s: float, now: datetime) -> str:
        """A token for one caller, valid for `ttl_s` seconds from `now` (aware). Raises ValueError for unknown roles."""
        held = sorted(set(roles))
        if not held or not set(held) <= set(ROLES):
            raise ValueError(f"roles must be some of {', '.join(ROLES)}")
        for name, value in (("tenant", tenant_id), ("subject", subject)):
            if not _is_name(value):
                raise ValueError(f"{name} must have 1 to {MAX_ID_CHARS} visible characters")
        issued = int(now.timestamp())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "iat": issued,
            "nbf": issued,
            "exp": issued + int(ttl_s),
            "sub": subject,
            "tenant": tenant_id,
            "roles": held,
        }
        return jwt.encode({"alg": ALGORITHMS[0], "typ": "JWT"}, claims, self._keys[0], algorithms=ALGORITHMS)

    def verify(self, token: str, now: datetime) -> Principal:
        """The caller that a token names. Raises InvalidToken; never says which check failed beyond "expired"."""
        moment = now.timestamp()
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        known = self._known.get(digest)
        if known is not None and known[1] <= moment < known[2]:
            return known[0]
        principal, starts, ends = self._checked(token, moment)
        self._known[digest] = (principal, starts, ends)
        self._known.move_to_end(digest)
        if len(self._known) > self._cached:
            self._known.popitem(last=False)
        return principal

    def _checked(self, token: str, moment: float) -> tuple[Principal, float, float]:
        if len(token) > MAX_TOKEN_CHARS or not token.isascii():
            raise InvalidToken()
        claims = self._claims(token)
        starts = max(_moment(claims, "nbf"), _moment(claims, "iat")) - LEEWAY_S
        ends = _moment(claims, "exp") + LEEWAY_S
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        tenant, subject, roles = claims.get("tenant"), claims.get("sub"), claims.get("roles")
        if claims.get("iss") != ISSUER or AUDIENCE not in audiences or moment < starts:
            raise InvalidToken()
        if moment >= ends:
            raise InvalidToken("The token has expired. Ask for a new one.")
        if not (isinstance(tenant, str) and _is_name(tenant) and isinstance(subject, str) and _is_name(subject)):
            raise InvalidToken()
        if not isinstance(roles, list) or not roles or any(role not in ROLES for role in roles):
            raise InvalidToken()
        return Principal(tenant, subject, frozenset(roles)), starts, ends

    def _claims(self, token: str) -> dict[str, object]:
        for key in self._keys:
            try:
                decoded = jwt.decode(token, key, algorithms=ALGORITHMS)
            except (JoseError, ValueError, TypeError, RecursionError):
                continue
            # A token of another kind that was signed with the same key must not pass as one of ours.
            if decoded.header.get("typ") == "JWT" and set(decoded.header) <= {"alg", "typ", "kid"}:
                claims: dict[str, object] = decoded.claims
                return claims
        raise InvalidToken()


def _moment(claims: dict[str, object], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**40:
        raise InvalidToken()
    return float(value)


def _is_name(value: str) -> bool:
    return 0 < len(value) <= MAX_ID_CHARS and value.isprintable() and " " not in value


class BrowserKeys:
    """The publishable keys of all tenants, and the origins that they open."""

    def __init__(self, keys: Sequence[BrowserKey] = ()) -> None:
        self._keys = {key.key: key for key in keys}
        self.origins = frozenset(origin for key in keys for origin in key.origins)
        """Every origin that some key allows; CORS answers only these."""

    def verify(self, key: str, origin: str | None) -> Principal:
        """The storefront that a key names. Raises InvalidToken for an unknown key, or an origin not its own."""
        found = self._keys.get(key)
        if found is None:
            raise InvalidToken("This publishable key is not known here.")
        if origin is None or origin not in found.origins:
            raise InvalidToken("This publishable key may not be used from this origin.")
        return Principal(found.tenant_id, "storefront", frozenset({"storefront"}), browser_key=True)


@dataclass(frozen=True, slots=True)
class StatusClaims:
    """What a status link says: whose ticket, since when, until when."""

    tenant_id: str
    ticket_id: str
    received_at: datetime
    expires_at: datetime


_STATUS_VERSION = 1
_STATUS_HEAD = struct.Struct(">BqIB")
"""Version, received_at in µs, seconds until it expires, bytes of the tenant; tenant and ticket follow."""

_SIGNATURE_BYTES = 16
"""128 bits of HMAC-SHA256: RFC 2104 section 5 allows half of it, and a link should stay short."""


class StatusTokens:
    """Signs and verifies status links: compact, URL-safe, HMAC-SHA256 with the key that intake and notifier share.

    `key` may hold several keys, "new,old", while they are rotated.
    """

    def __init__(self, key: str) -> None:
        self._keys = [hashlib.sha256(b"fenliu status link 1" + part.encode()).digest() for part in split_keys(key)]

    def issue(self, tenant_id: str, ticket_id: str, received_at: datetime, expires_at: datetime) -> str:
        """The token of `/s/<token>`. Raises ValueError where an id is empty or longer than 128 characters."""
        tenant, ticket = tenant_id.encode(), ticket_id.encode()
        if not (0 < len(tenant) <= 255 and 0 < len(ticket) <= 512):
            raise ValueError("a status link needs a tenant and a ticket of ordinary length")
        received_us = (received_at.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1)
        lifetime_s = int((expires_at - received_at).total_seconds())
        body = _STATUS_HEAD.pack(_STATUS_VERSION, received_us, max(lifetime_s, 0), len(tenant)) + tenant + ticket
        signed = body + _sign(self._keys[0], body)
        return base64.urlsafe_b64encode(signed).rstrip(b"=").decode()

    def verify(self, token: str, now: datetime) -> StatusClaims:
        """Raises InvalidToken where the signature is wrong or the link has expired."""
        claims = self._claims(token)
        if now >= claims.expires_at:
            raise InvalidToken("This link has expired.")
        return claims

    def _claims(self, token: str) -> StatusClaims:
        signed = _unpadded(token)
        body, signature = signed[:-_SIGNATURE_BYTES], signed[-_SIGNATURE_BYTES:]
        genuine = [hmac.compare_digest(signature, _sign(key, body)) for key in self._keys]
        if not any(genuine) or len(body) <= _STATUS_HEAD.size:
            raise InvalidToken("This link is not valid.")
        version, received_us, lifetime_s, tenant_bytes = _STATUS_HEAD.unpack_from(body)
        if version != _STATUS_VERSION:
            raise InvalidToken("This link is not valid.")
        names = body[_STATUS_HEAD.size :]
        received_at = _EPOCH + timedelta(microseconds=received_us)
        return StatusClaims(
            names[:tenant_bytes].decode(),
            names[tenant_bytes:].decode(),
            received_at,
            received_at + timedelta(seconds=lifetime_s),
        )


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _sign(key: bytes, body: bytes) -> bytes:
    return hmac.digest(key, body, "sha256")[:_SIGNATURE_BYTES]


def _unpadded(token: str) -> bytes:
    if not 0 < len(token) <= 2048 or not token.isascii():
        raise InvalidToken("This link is not valid.")
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidToken("This link is not valid.") from error
    # One link, one spelling: the last character's unused bits must be zero.
    if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != token:
        raise InvalidToken("This link is not valid.")
    return raw
