"""`fenliu classifier train|evaluate`: make a model from the corpus, and measure one on labelled texts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from fenliu.chassis.errors import FenliuError
from fenliu.cli.fail import fail
from fenliu.cli.models import Folder


def evaluate(
    file: Annotated[str, typer.Argument(help="JSON lines with text and labels; - reads standard input.")],
    directory: Folder = None,
    model: Annotated[str, typer.Option(help="Version. Default: the current one.")] = "",
) -> None:
    """Measure a model on labelled texts: accuracy, costly errors, calibration, with 95 % intervals, as Markdown.

    A line is {"text": …} with any of category, tier, complexity, sentiment (slugs of docs/taxonomy.md) and operations
    (how many the customer asks for). Figures need texts that the model has not learned: not those of its own corpus.
    """
    from services.classifier.model.directory import load
    from services.classifier.model.evaluate import evaluate_lines
    from services.classifier.model.weights import ARTIFACTS

    try:
        predictor = load(directory or ARTIFACTS, model or None)
        if file == "-":
            typer.echo(evaluate_lines(sys.stdin, predictor), nl=False)
            return
        with open(file, encoding="utf-8-sig") as lines:
            typer.echo(evaluate_lines(lines, predictor), nl=False)
    except FenliuError as error:
        fail(error)
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{file} cannot be read: {error}.")


def train(
    directory: Folder = None,
    model: Annotated[str, typer.Option(help="Version to write. Default: today's next number.")] = "",
    feedback: Annotated[
        Path | None, typer.Option(help="Corrections to learn from as well: a file of `export-feedback`.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Make it current even where its figures are worse.")] = False,
) -> None:
    """Train a version on the corpus, measure it, and make it current unless it is worse. Takes some minutes.

    Needs the extra `train`. Ends with code 1 where the version was written but did not become current.
    """
    try:
        from services.classifier.model.train import train_version
    except ModuleNotFoundError as error:
        fail(
            f"{error.name} is missing: training needs the extra `train`. Install it with: pip install 'fenliu[train]'."
        )
    from services.classifier.model.weights import ARTIFACTS

    try:
        made = train_version(directory or ARTIFACTS, model, feedback=feedback, force=force)
    except FenliuError as error:
        fail(error)
    except OSError as error:
        fail(f"The model cannot be written, or the feedback not read: {error.strerror} ({error.filename}).")
    typer.echo(made.words())
    if made.refused:
        raise typer.Exit(1)
