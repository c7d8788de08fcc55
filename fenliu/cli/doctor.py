"""`fenliu doctor`: looks at everything that has to be right, and says what to do where it is not."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import httpx2

from fenliu.chassis.messaging.kafka import Inspector, KafkaOptions, KafkaUnavailable
from fenliu.cli import catalogue
from fenliu.cli.home import SERVICES, Home
from fenliu.contracts.topics import CATALOGUE

LAG_LIMIT = 1_000
"""Records behind above which a consumer is called late."""

CLOCK_LIMIT_S = 2.0
"""The Date header of HTTP has whole seconds, so a smaller difference cannot be seen here."""

DISK_LIMIT_BYTES = 500_000_000


CHECKS = ("python", "disk", "services", "databases", "clocks", "broker", "topics", "lag", "dead letters")
"""What is looked at, in the order in which trouble spreads."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. check: one of CHECKS. advice: what to do; empty where it is fine."""

    check: str
    what: str
    advice: str = ""


async def examine(home: Home, *, every: bool) -> bool:
    """Print what was found; True where nothing needs to be done. every: what is fine is not summed up."""
    found = [finding async for finding in findings(home)]
    for line in report(found, every=every):
        print(line)
    return not any(finding.advice for finding in found)


def report(found: list[Finding], *, every: bool) -> Iterator[str]:
    """Lines to print: at least one per check; with `every`, one per finding."""
    for check in CHECKS:
        own = [finding for finding in found if finding.check == check]
        fine = [finding.what for finding in own if not finding.advice]
        if not own:
            yield f"-   {check:<12} not looked at, for nothing answered"
        elif every or len(fine) == 1:
            yield from (f"ok  {check:<12} {what}" for what in fine)
        elif fine:
            yield f"ok  {check:<12} {len(fine)} of {len(own)} are fine; --all shows them"
        for finding in own:
            if finding.advice:
                yield f"BAD {check:<12} {finding.what}"
                yield f"    → {finding.advice}"


async def findings(home: Home) -> AsyncIterator[Finding]:
    """Everything that is looked at."""
    yield python()
    yield disk(home)
    async for finding in services(home):
        yield finding
    async for finding in broker(os.environ.get("FENLIU_KAFKA_BOOTSTRAP") or home.bootstrap):
        yield finding


def python() -> Finding:
    """Interpreter and SQLite."""
    what = f"Python {sys.version.split()[0]}, SQLite {sqlite3.sqlite_version}"
    if sqlite3.sqlite_version_info < (3, 35):
        return Finding("python", what, "SQLite is older than 3.35; use a newer Python build, or PostgreSQL")
    return Finding("python", what)


def disk(home: Home) -> Finding:
    """Space where the embedded home is."""
    folder = home.path if home.path.exists() else home.path.absolute().parent
    free = shutil.disk_usage(folder).free
    what = f"{free / 1e9:.1f} GB free in {folder}"
    return Finding("disk", what, "" if free > DISK_LIMIT_BYTES else "make room, or move the data: FENLIU_HOME=…")


async def services(home: Home) -> AsyncIterator[Finding]:
    """Each service's readiness, which covers its database and migrations, and its clock."""
    async with httpx2.AsyncClient(timeout=5) as client:
        for name in SERVICES:
            url = os.environ.get(f"FENLIU_{name.upper()}_URL") or home.url(name)
            try:
                answer = await client.get(f"{url}/readyz")
            except httpx2.HTTPError as error:
                advice = f"start it (fenliu up, or fenliu run {name}); elsewhere? set FENLIU_{name.upper()}_URL"
                yield Finding("services", f"{name}: {url} does not answer: {type(error).__name__}", advice)
                continue
            for finding in service(name, url, answer):
                yield finding


def service(name: str, url: str, answer: httpx2.Response) -> Iterator[Finding]:
    """One service that answered at /readyz: itself, its database if it has one, its clock."""
    if answer.status_code == 200:
        yield Finding("services", f"{name}: {url} is ready")
    else:
        yield Finding("services", f"{name}: {url} is not ready", f"read {url}/readyz: {answer.text[:300]}")
    checks = answer.json().get("checks", {})
    for part in ("database", "migrations"):
        if part in checks:
            said = checks[part]
            what = f"{name}: {part}: {said['detail']}"
            yield Finding("databases", what, "" if said["ok"] else f"see {url}/readyz and the log of {name}")
    skew_s = abs(parsedate_to_datetime(answer.headers["date"]).timestamp() - time.time())
    advice = "synchronise both (chrony, NTP)" if skew_s > CLOCK_LIMIT_S else ""
    yield Finding("clocks", f"{name}: {skew_s:.0f} s away from this machine's", advice)


async def broker(bootstrap: str) -> AsyncIterator[Finding]:
    """The broker, the catalogue's topics, and every consumer's lag."""
    inspector = Inspector(KafkaOptions(bootstrap, start_timeout_s=3))
    try:
        existing = await inspector.topics()
        yield Finding("broker", f"{bootstrap} answers")
        missing = [topic.name for topic in CATALOGUE.values() if topic.name not in existing]
        advice = "fenliu topics apply" if missing else ""
        yield Finding("topics", f"missing: {', '.join(missing)}" if missing else "all exist", advice)
        for topic in CATALOGUE.values():
            if topic.name in existing:
                for lag in await catalogue.lags(inspector, topic):
                    yield behind(lag)
                yield await dead(inspector, topic.name, topic.dead_letter)
    except KafkaUnavailable as error:
        yield Finding(
            "broker",
            f"{bootstrap} does not answer: {type(error.__cause__).__name__}",
            "start the broker, or set FENLIU_KAFKA_BOOTSTRAP=host:port",
        )
    finally:
        await inspector.close()


def behind(lag: catalogue.Lag) -> Finding:
    """Whether a consumer keeps up."""
    service = lag.group.partition(".")[0]
    if lag.records is None:
        return Finding("lag", f"{lag.group} has never committed", f"is {service} running? see its /readyz and log")
    advice = f"see docs/runbooks/no-progress.md; scale {service} out" if lag.records > LAG_LIMIT else ""
    return Finding("lag", f"{lag.group} is {lag.records} records behind", advice)


async def dead(inspector: Inspector, topic: str, dead_letter: str) -> Finding:
    """Whether records of a topic died."""
    kept = sum((await inspector.end_offsets([dead_letter])).values())
    kept -= sum((await inspector.begin_offsets([dead_letter])).values())
    return Finding("dead letters", f"{topic}: {kept}", f"fenliu dlq list {topic}" if kept else "")
