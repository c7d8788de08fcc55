"""`fenliu classify`: labels for a file of texts, without a running service."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from fenliu.chassis.errors import FenliuError

BATCH = 100

FIELDS = ("category", "tier", "complexity", "sentiment", "language", "confidence")


def classify(
    file: Annotated[str, typer.Argument(help="JSON lines with `text`; - reads standard input.")],
    model: Annotated[
        Path | None,
        typer.Option(envvar="FENLIU_CLASSIFIER_MODEL_DIRECTORY", help="Folder of another model than the built-in one."),
    ] = None,
) -> None:
    """Label texts: JSON lines with `text` in, JSON lines with the labels out, one for one and in the same order.

    A line that cannot be read is answered in its place by {"line", "error"}, and named on standard error; the command
    then ends with code 1. Blank lines are passed over.
    """
    try:
        bad = _label(file, model)
    except FenliuError as error:  # the model's files are missing, damaged or of another version
        typer.secho(str(error), err=True, fg="red")
        raise typer.Exit(2) from error
    except OSError as error:
        typer.secho(f"{file} cannot be read: {error.strerror}.", err=True, fg="red")
        raise typer.Exit(2) from error
    for number, reason in bad:
        typer.secho(f"Line {number}: {reason}", err=True, fg="red")
    if bad:
        raise typer.Exit(1)


def _label(file: str, model: Path | None) -> list[tuple[int, str]]:
    if file == "-":
        if isinstance(sys.stdin, TextIOWrapper):
            sys.stdin.reconfigure(encoding="utf-8-sig", errors="surrogateescape")  # one bad byte must not end the run
        return write_labels(sys.stdin, sys.stdout, model)
    with open(file, encoding="utf-8-sig", errors="surrogateescape") as lines:
        return write_labels(lines, sys.stdout, model)


def write_labels(lines: Iterable[str], out: TextIO, model: Path | None = None) -> list[tuple[int, str]]:
    """Answer every line that is not blank. Returns the bad ones: number, counted from 1, and what is wrong.

    model  folder of the model; None: the built-in one. Raises UnusableArtifact where it does not fit.
    """
    from services.classifier.model.directory import load
    from services.classifier.model.weights import ARTIFACTS

    predictor = load(model or ARTIFACTS)
    bad: list[tuple[int, str]] = []
    numbered = ((number, line) for number, line in enumerate(lines, 1) if line.strip())
    for batch in _batches(numbered):
        texts = [_text_of(line) for _, line in batch]
        found = iter(predictor.predict([text for text, problem in texts if not problem]))
        for (number, _), (_, problem) in zip(batch, texts, strict=True):
            if problem:
                bad.append((number, problem))
                answer: dict[str, Any] = {"line": number, "error": problem}
            else:
                prediction = next(found)
                answer = {name: getattr(prediction, name) for name in FIELDS}
                answer["confidence"] = round(prediction.confidence, 4)
            out.write(json.dumps(answer, ensure_ascii=False) + "\n")
        out.flush()
    return bad


def _batches(numbered: Iterator[tuple[int, str]]) -> Iterator[list[tuple[int, str]]]:
    while batch := list(islice(numbered, BATCH)):
        yield batch


def _text_of(line: str) -> tuple[str, str]:
    """The text, or "" and what is wrong with the line."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return "", 'is not JSON. Write one object per line: {"text": "…"}.'
    if not isinstance(row, dict) or not isinstance(row.get("text"), str):
        return "", 'has no `text` of type string. Write {"text": "…"}.'
    return row["text"], ""
