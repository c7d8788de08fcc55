"""A correction travels from the agent to a training row, through router, intake and the command that exports it."""

from __future__ import annotations

from pathlib import Path

from fenliu.cli.feedback import training_rows
from tests.component.chain import chained


async def test_correction_by_an_agent_becomes_a_masked_training_row(tmp_path: Path) -> None:
    async with chained(tmp_path) as chain:
        ticket_id = await chain.opened("发票怎么开 手机13912345678")
        assert (await chain.ticket(ticket_id)).queue_id == "invoice"
        async with chain.world.client("agent", subject="ann") as client:
            answer = await client.put(
                f"/v1/routing/tickets/{ticket_id}/labels", json={"category": "account", "complexity": "moderate"}
            )
        assert answer.status_code == 200, answer.text
        for event in await chain.world.published("TicketRelabelled", ticket_id):
            await chain.intake.handle(event)
        listed = await chain.intake.get("/v1/feedback", role="admin", subject="root", tenant="acme")
        (item,) = listed.json()["items"]
        assert (item["labels_before"]["category"], item["model_version"]) == (
            "invoice",
            chain.model.predictor.weights.version,
        )
        assert list(training_rows([item])) == [
            {
                "text": "发票怎么开 手机<手机>",
                "category": "account",
                "tier": "standard",
                "complexity": "moderate",
                "source": "feedback",
            }
        ]
