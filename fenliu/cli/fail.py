"""How a command ends that cannot do what it was asked."""

from __future__ import annotations

from typing import NoReturn

import typer


def fail(message: object) -> NoReturn:
    """Say what went wrong and end with code 1."""
    typer.secho(str(message), err=True, fg="red")
    raise typer.Exit(1)
