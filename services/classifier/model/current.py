"""The model that labels now: taken up from the folder of models, used outside the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from fenliu.chassis.observability import get_logger
from services.classifier import metrics
from services.classifier.domain.label import Prediction
from services.classifier.model import directory as folder
from services.classifier.model.predict import Predictor
from services.classifier.model.weights import ARTIFACTS, UnusableArtifact

log = get_logger(__name__)

MAX_TEXTS = 100
"""Texts in one call of the model: some 30 ms, after which others who wait get their turn."""

Seen = tuple[tuple[int, int] | None, ...]
"""Time of change and size of the files that a look rests on; None where one is missing."""


class CurrentModel:
    """Labels texts with the current version, and follows the folder.

    directory  the folder of models; None: the one that ships with the program.
    pinned     a version to use whatever current.json says; "" follows current.json.

    Raises UnusableArtifact where a pinned version, or the one that ships, cannot be used. Any other that cannot be
    used is reported, and the one that ships labels in its place: a ticket with labels of an older model is served, one
    without waits in triage.
    """

    def __init__(self, directory: Path | None = None, pinned: str = "") -> None:
        self.directory = directory or ARTIFACTS
        self.pinned = pinned
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="inference")
        self._refused = ""
        self._seen: Seen = ()
        try:
            wanted = pinned or folder.read_current(self.directory).version
            self.predictor = folder.load(self.directory, wanted)
            self._report("")
        except UnusableArtifact as error:
            if pinned or self.directory == ARTIFACTS:
                raise
            self.predictor = folder.load(ARTIFACTS, folder.read_current(ARTIFACTS).version)
            self._report(error.detail)

    async def label(self, texts: Sequence[str]) -> list[Prediction]:
        """One prediction per text, in order, all of one version. The model runs in a thread of its own, on at most
        MAX_TEXTS texts at a time, so that heartbeats go on; who comes meanwhile takes turns."""
        predictor = self.predictor
        loop = asyncio.get_running_loop()
        predictions: list[Prediction] = []
        for first in range(0, len(texts), MAX_TEXTS):
            predictions += await loop.run_in_executor(
                self._executor, _timed, predictor, texts[first : first + MAX_TEXTS]
            )
        return predictions

    async def step(self) -> int:
        """Look at the folder; take up the version that is current now. Returns 1 where it changed, else 0."""
        if self.pinned:
            return 0
        found = await asyncio.to_thread(self._look)
        if found is None:
            return 0
        log.info("model_switched", version=found.weights.version, before=self.predictor.weights.version)
        self.predictor = found
        metrics.model_switches.inc()
        return 1

    def _look(self) -> Predictor | None:
        """The predictor to switch to; None where there is nothing to do. Blocks."""
        found, refused = None, ""
        seen: Seen = ()
        try:
            wanted = folder.read_current(self.directory).version
            seen = self._files(wanted)
            if seen == self._seen:
                return None
            if wanted != self.predictor.weights.version:
                found = folder.load(self.directory, wanted)
            elif not folder.is_intact(self.directory, self.predictor.weights.header):
                refused = (
                    f"The files of model {wanted}, which is in use, were changed or damaged. Copy the right ones there "
                    "again, and give new ones a version of their own."
                )
        except UnusableArtifact as error:
            refused = error.detail
        self._seen = seen
        self._report(refused)
        return found

    def _files(self, version: str) -> Seen:
        """A file that is still being copied is looked at again when it has grown."""
        places = (folder.folder_of(self.directory, version) / f"{version}{ending}" for ending in (".json", ".npz"))
        return tuple(_stamp(path) for path in (self.directory / folder.CURRENT, *places))

    def _report(self, refused: str) -> None:
        metrics.model_refused.set(1 if refused else 0)
        if refused and refused != self._refused:
            log.error(
                "model_refused",
                reason=refused,
                labels_with=self.predictor.weights.version,
                do="put the files in order, or run: fenliu classifier rollback",
            )
        self._refused = refused

    def listed(self) -> list[tuple[Mapping[str, Any], bool]]:
        """Headers of the versions that could be used, and whether each labels now. Blocks."""
        now = self.predictor.weights
        others = [
            header
            for version, header in folder.headers(self.directory)
            if header is not None and version != now.version and header.get("model_version") == version
        ]
        return [(now.header, True), *((header, False) for header in others)]


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _timed(predictor: Predictor, texts: Sequence[str]) -> list[Prediction]:
    started = time.perf_counter()
    predictions = predictor.predict(texts)
    metrics.batch_seconds.observe(time.perf_counter() - started)
    metrics.batch_size.observe(len(texts))
    return predictions
