"""Loaded by schemathesis (see test_schemathesis.py): refusals that are right although the request fits its schema.

A schema cannot say that a cursor must have been made by this very list, or that a key stands for another request
already. Such a refusal names its rule in the problem's type; every other one is a failure.
"""

from __future__ import annotations

import json
from typing import Any

import schemathesis

RULES = frozenset(
    {
        "agent-unavailable",
        "bad-cursor",
        "customer-missing",
        "idempotency-key-reused",
        "invalid-action",
        "invalid-queue",
        "invalid-shifts",
        "no-labels",
        "score-missing",
        "text-missing",
        "unknown-skill",
        "unusable-url",
    }
)


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """False drops a failure."""
    if type(failure).__name__ != "RejectedPositiveData" or response.status_code != 422:
        return True
    slug = json.loads(response.content)["type"].rpartition("/")[2]
    return slug not in RULES
