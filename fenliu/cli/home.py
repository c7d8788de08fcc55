"""The folder that `fenliu up` lives in: keys, SQLite files, logs, and the environment of every process."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

SERVICES = ("intake", "classifier", "router", "notifier")
PORT_OFFSETS = {"intake": 1, "classifier": 2, "router": 3, "notifier": 4, "prometheus": 90, "broker": 92}
"""Ports relative to the base (default 8000)."""

DEFAULT_PORT_BASE = 8000
LOWEST_PORT_BASE = 1024
HIGHEST_PORT_BASE = 65_535 - max(PORT_OFFSETS.values())
"""Between ports that need rights and the last one that exists, the broker's included."""


class NoKey(Exception):
    """There is no key to sign with: set FENLIU_TOKEN_KEY, or run `fenliu up` once in this folder."""


class BadPortBase(Exception):
    """PORT_BASE is no number, or no port of the stack would fit."""


@dataclass(frozen=True)
class Home:
    """The embedded stack's folder and port base. Keys are made once, readable by their owner only."""

    path: Path
    port_base: int = DEFAULT_PORT_BASE

    def port(self, name: str) -> int:
        return self.port_base + PORT_OFFSETS[name]

    def url(self, service: str) -> str:
        return f"http://127.0.0.1:{self.port(service)}"

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port('broker')}"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    def prepare(self) -> None:
        """Make the folders and, the first time, the keys."""
        self.logs.mkdir(parents=True, exist_ok=True)
        self.path.chmod(0o700)
        for name in ("token", "status"):
            _make_key(self.path / f"{name}.key")

    def key(self, name: str) -> str:
        """The stored key `token` or `status`. Raises NoKey where `fenliu up` has never run here."""
        try:
            return (self.path / f"{name}.key").read_text(encoding="ascii").strip()
        except FileNotFoundError as error:
            raise NoKey(str(NoKey.__doc__)) from error

    def settings_env(self, service: str) -> dict[str, str]:
        """FENLIU_<SERVICE>_… of one service of the embedded stack."""
        values = {
            "HTTP_HOST": "127.0.0.1",
            "HTTP_PORT": str(self.port(service)),
            "KAFKA_BOOTSTRAP": self.bootstrap,
            "TOKEN_KEY": self.key("token"),
            "STATUS_KEY": self.key("status"),
        }
        if service != "classifier":
            values["DATABASE_URL"] = f"sqlite+aiosqlite:///{(self.path / f'{service}.db').resolve()}"
        if service == "intake":
            values["PUBLIC_NOTIFIER_URL"] = self.url("notifier")
        if service == "notifier":
            values["PUBLIC_INTAKE_URL"] = self.url("intake")
            values["WEBHOOK_ALLOW_LOOPBACK"] = "true"  # a first webhook is tried on the same machine
        return {f"FENLIU_{service.upper()}_{name}": value for name, value in values.items()}

    def process_env(self, service: str) -> dict[str, str]:
        """The caller's environment without its FENLIU_* variables, plus the service's own."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("FENLIU_")}
        return inherited | {"PYTHONUNBUFFERED": "1"} | self.settings_env(service)


def current_home() -> Home:
    """The home named by FENLIU_HOME (default ./.fenliu) and PORT_BASE (default 8000). Raises BadPortBase."""
    return Home(Path(os.environ.get("FENLIU_HOME") or ".fenliu"), _port_base(os.environ.get("PORT_BASE", "")))


def _port_base(text: str) -> int:
    if not text:
        return DEFAULT_PORT_BASE
    if text.isascii() and text.isdigit() and LOWEST_PORT_BASE <= int(text) <= HIGHEST_PORT_BASE:
        return int(text)
    allowed = f"from {LOWEST_PORT_BASE} to {HIGHEST_PORT_BASE}, such as {DEFAULT_PORT_BASE}"
    raise BadPortBase(f"PORT_BASE is {text!r}; it has to be a whole number {allowed}.")


def token_key() -> str:
    """FENLIU_TOKEN_KEY, else the embedded home's key. Raises NoKey."""
    return os.environ.get("FENLIU_TOKEN_KEY") or current_home().key("token")


def _make_key(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(48) + "\n")
