"""Structured logs and the catalogue of metrics.

    tickets_received = counter("fenliu_intake_tickets_received_total", "Tickets accepted.", reaction="…", labels={"channel": CHANNELS})

Every metric is declared once in a `metrics.py` with a sentence and what to do when it moves; `docs/metrics.md` is
generated from the catalogue. Label values come from closed sets, never ids.
"""
