"""`fenliu classifier export-feedback`: corrections by people, as rows that the model can be trained on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2

from fenliu.chassis.auth import Tokens
from fenliu.chassis.clock import SystemClock
from fenliu.cli.home import token_key
from fenliu.masking import mask_personal

LABELS = ("category", "tier", "complexity")
"""Labels that a person decides about. Sentiment is left out: nobody corrects it, so it would only echo the model."""

SOURCE = "feedback"


class Unanswered(Exception):
    """Intake did not hand out its feedback."""


def export(out: Path, tenant: str, address: str) -> int:
    """Write the tenant's corrections; returns how many rows. address: intake's. Raises NoKey, Unanswered, OSError."""
    token = Tokens(token_key()).issue(tenant, ["admin"], "export-feedback", 600, SystemClock().now())
    with httpx2.Client(base_url=address, headers={"Authorization": f"Bearer {token}"}, timeout=30) as client:
        rows = list(training_rows(items(client)))
    write_rows(out, rows)
    return len(rows)


def items(client: httpx2.Client) -> Iterator[Mapping[str, Any]]:
    """Every correction of the tenant, newest first. Raises Unanswered."""
    cursor: str | None = None
    while True:
        params = {"limit": "200"} | ({"cursor": cursor} if cursor else {})
        try:
            answer = client.get("/v1/feedback", params=params)
        except httpx2.HTTPError as error:
            address = client.base_url
            raise Unanswered(f"Intake does not answer on {address}: {error}. Start it, or name --intake.") from error
        if answer.status_code != 200:
            raise Unanswered(f"Intake answers {answer.status_code}: {answer.text[:300]}")
        page = answer.json()
        yield from page["items"]
        cursor = page["next"]
        if cursor is None:
            return


def training_rows(found: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, str]]:
    """A row per ticket with text and category, from its newest correction. found: newest first."""
    seen: set[str] = set()
    for item in found:
        labels = item["labels_after"]
        if item["ticket_id"] in seen:
            continue
        seen.add(item["ticket_id"])
        text = mask_personal(item["text"]).strip()
        if text and labels.get("category"):
            yield {"text": text} | {label: labels[label] for label in LABELS if labels.get(label)} | {"source": SOURCE}


def write_rows(out: Path, rows: Iterable[Mapping[str, str]]) -> None:
    """Write JSON lines; a reader of `out` never sees half of them. Raises OSError."""
    temporary = out.with_name(f".{out.name}.part")
    with temporary.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    temporary.replace(out)
