"""`fenliu classifier promote|rollback|versions`: which model labels. Running classifiers notice within seconds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from fenliu.chassis.errors import FenliuError
from fenliu.cli.fail import fail

Folder = Annotated[
    Path | None,
    typer.Option(
        "--model-directory",
        envvar="FENLIU_CLASSIFIER_MODEL_DIRECTORY",
        help="Folder of models that the classifier reads. Default: the one that ships with the program.",
    ),
]
Version = Annotated[str, typer.Argument(help="Version, such as 2026-11-21.1; `fenliu classifier versions` lists them.")]

SHOWN_FIGURES = 4


def promote(
    version: Version,
    directory: Folder = None,
    force: Annotated[bool, typer.Option("--force", help="Also where its recorded figures are worse.")] = False,
) -> None:
    """Make a version current. Refused where it does not load, or is worse than the current one by its figures."""
    from services.classifier.model import directory as models

    try:
        current = models.promote(_folder(directory), version, force=force)
    except FenliuError as error:
        fail(error)
    typer.echo(f"{current.version} is current." + _back(current.previous))


def rollback(directory: Folder = None) -> None:
    """Make the version current that was so before."""
    from services.classifier.model import directory as models

    try:
        current = models.rollback(_folder(directory))
    except FenliuError as error:
        fail(error)
    typer.echo(f"{current.version} is current again." + _back(current.previous))


def versions(directory: Folder = None) -> None:
    """List the versions that are there, with data version and figures; * marks the current one."""
    from services.classifier.model import directory as models

    try:
        current = models.read_current(_folder(directory))
    except FenliuError as error:
        fail(error)
    for version, header in models.headers(_folder(directory)):
        mark = "*" if version == current.version else " "
        typer.echo(f"{mark} {version:<20} {_about(header)}".rstrip())
    if current.previous:
        typer.echo(f"Before: {', '.join(current.previous)}")


def _about(header: Mapping[str, Any] | None) -> str:
    if header is None:
        return "its header cannot be read"
    figures = [
        f"{name} {value:.3f}" for name, value in (header.get("figures") or {}).items() if isinstance(value, float)
    ]
    return ", ".join([f"data {header.get('data_version') or 'unknown'}", *figures[:SHOWN_FIGURES]])


def _back(previous: tuple[str, ...]) -> str:
    return f" Back to {previous[0]}: fenliu classifier rollback" if previous else ""


def _folder(given: Path | None) -> Path:
    from services.classifier.model.weights import ARTIFACTS

    return given or ARTIFACTS
