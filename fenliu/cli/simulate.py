"""`fenliu simulate`: routing policies on a trace or on a made-up desk, with the service's own engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from fenliu.cli.fail import fail

app = typer.Typer(help="Try routing policies on traces and made-up desks.", no_args_is_help=True)


@app.command("convert-bank")
def convert_bank(
    file: Annotated[Path, typer.Argument(help="Tab-separated call log of the anonymous bank.")],
    folder: Annotated[Path, typer.Argument(help="Where tickets.csv and agents.csv go.")],
) -> None:
    """Make a trace of the bank's call log. An agent is on duty from the first to the last service of a day; VIP is
    priority 2; phantom calls are left out."""
    from services.router.simulation import bank, trace

    try:
        found = bank.convert(file)
    except trace.BadTrace as error:
        fail(error)
    trace.write(folder, found)
    typer.echo(f"{len(found.arrivals)} tickets and {len(found.duties)} duties of agents are in {folder}.")


@app.command("compare")
def compare_policies(
    policies: Annotated[
        str, typer.Option(help="Names, comma separated; the first is what the others are compared with.")
    ],
    trace_dir: Annotated[
        Path | None, typer.Option("--trace", help="Folder with tickets.csv and agents.csv; none: a made-up desk.")
    ] = None,
    load: Annotated[
        float,
        typer.Option(min=0.05, max=20, help="Of a trace: how often each arrival comes. Made-up desk: work over room."),
    ] = 1.0,
    seeds: Annotated[int, typer.Option(min=1, help="Replications.")] = 5,
    first_seed: Annotated[int, typer.Option(min=0, help="Number of the first seed.")] = 1,
    stressed: Annotated[
        bool, typer.Option(help="Made-up desk: every seed with other troubles; load is ignored.")
    ] = False,
    days: Annotated[str, typer.Option(help="Of a trace: only these days, FIRST-LAST, counted from 1.")] = "",
    out: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the ratios here, as SVG.")] = None,
) -> None:
    """Compare policies on the same luck: a table with paired 95 % intervals."""
    from services.router.simulation import compare, measures, synthetic, trace
    from services.router.simulation import plot as drawing

    if plot is not None and plot.suffix.lower() != ".svg":
        fail(f"{plot}: only SVG can be drawn; give a name that ends in .svg.")
    try:
        chosen = [compare.policy_of(name.strip()) for name in policies.split(",")]
        if trace_dir is None:
            axes = synthetic.Axes(load)
            runs = compare.compare(
                chosen, range(first_seed, first_seed + seeds),
                synthetic.stressed if stressed else lambda seed: synthetic.make(axes, seed), _progress,
            )  # fmt: skip
        else:
            whole = trace.read(trace_dir)
            if days:
                first, _, last = days.partition("-")
                whole = trace.days(whole, int(first), int(last or first))
            runs = compare.compare(
                chosen, range(first_seed, first_seed + seeds), lambda seed: trace.scale(whole, load, seed), _progress
            )
    except (trace.BadTrace, compare.UnknownPolicy, ValueError) as error:
        fail(error)
    base = chosen[0].name
    typer.echo(compare.report(runs, base))
    found = measures.paired(runs, base)
    head = {"base": base, "load": load, "seeds": seeds, "first_seed": first_seed, "stressed": stressed, "days": days}
    versions = {policy.name: policy.version for policy in chosen}
    if out is not None:
        out.write_text(json.dumps({**head, "versions": versions, "policies": found, "runs": runs}, indent=1) + "\n")
    if plot is not None:
        plot.write_text(drawing.svg(found, base, trace_dir.name if trace_dir else "made-up desk"), encoding="utf-8")


def _progress(line: str) -> None:
    typer.echo(line, err=True)
