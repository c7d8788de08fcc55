"""The ceiling for intake: a FastAPI endpoint that validates the same body and answers 202, and does nothing else."""

from __future__ import annotations

import sys
from uuid import uuid4

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, Field

app = FastAPI()


class NewTicket(BaseModel):
    text: str = Field(min_length=1, max_length=16_000)
    customer_id: str = Field(min_length=1, max_length=128)
    order_id: str | None = Field(None, max_length=128)
    parcel_id: str | None = Field(None, max_length=128)
    channel: str = Field("web", max_length=32)
    locale: str | None = Field(None, max_length=35)
    attributes: dict[str, str | int | float | bool] = Field(default_factory=dict)


@app.post("/v1/tickets", status_code=202)
async def create(ticket: NewTicket) -> dict[str, str]:
    return {"ticket_id": str(uuid4()), "state": "received"}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=False, log_level="warning")
