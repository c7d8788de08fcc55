"""The folder of models: which versions lie there, which one is current, and how that changes.

    <version>.npz, <version>.json   one version; never changed once it is there
    current.json                    {"model_version": …, "previous": [newest first]}; replaced atomically

Versions that ship with the program can be current in any folder, so that a first promotion can be rolled back.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from fenliu.chassis.errors import Conflict
from services.classifier.model.predict import Predictor, this_release_costs
from services.classifier.model.weights import ARTIFACTS, UnusableArtifact, load_weights

CURRENT = "current.json"

KEPT = 20
"""Former versions that current.json remembers."""

TOLERANCE = 0.005
"""How much lower a figure may be without counting as worse: half a point, less than its own 95 % interval."""

_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LOW_IS_GOOD = re.compile(r"called_|error|review|abstention|loss")
_NO_QUALITY = re.compile(r"(?:^|[._])(?:texts|cases|examples|count|n|low|high)$")


class WorseModel(Conflict):
    """The model's recorded figures are worse than the current one's. Train it again, or insist with --force."""

    slug = "worse-model"


class NothingToRollBack(Conflict):
    """No version was current before this one, so there is nothing to go back to. Promote a version by its name."""

    slug = "nothing-to-roll-back"


class DirectoryNotWritable(Conflict):
    """current.json cannot be replaced there. Run this as the owner of the folder, or name another folder."""

    slug = "model-directory-not-writable"


@dataclass(frozen=True)
class Current:
    """What current.json says. previous: versions that were current before, the newest first, none twice in a row."""

    version: str
    previous: tuple[str, ...] = ()


def read_current(directory: Path) -> Current:
    """The version that the folder names; one without current.json uses the version that ships with the program.

    Raises UnusableArtifact where current.json says something else than a version.
    """
    path = directory / CURRENT
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        version, previous = said["model_version"], said.get("previous", [])
        if all(_is_version(name) for name in (version, *previous)):
            return Current(version, tuple(previous))
    except FileNotFoundError:
        if directory != ARTIFACTS:
            return Current(read_current(ARTIFACTS).version)
        raise UnusableArtifact(f"{path} is missing. Put it back from the release.") from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UnusableArtifact(f"{path} cannot be read ({error}). Write it with: fenliu classifier promote.") from error
    raise UnusableArtifact(f"{path} names no version. Write it with: fenliu classifier promote.")


def _is_version(name: object) -> bool:
    return isinstance(name, str) and _VERSION.fullmatch(name) is not None


def folder_of(directory: Path, version: str) -> Path:
    """Where a version lies: in `directory`, else with the program. Raises UnusableArtifact where it is in neither."""
    for folder in (directory, ARTIFACTS):
        if (folder / f"{version}.json").is_file():
            return folder
    raise UnusableArtifact(
        f"There is no model {version} in {directory}. Copy {version}.npz and {version}.json there, or name one that "
        "`fenliu classifier versions` lists."
    )


def load(directory: Path = ARTIFACTS, version: str | None = None) -> Predictor:
    """A version, read and checked, with the costs of this release. version: None takes the current one.

    Raises UnusableArtifact with what is wrong and what to do.
    """
    if version is None:
        version = read_current(directory).version
    if not _is_version(version):
        raise UnusableArtifact(f"{version!r} is no version. Versions look like 2026-11-21.1.")
    try:
        return Predictor(load_weights(folder_of(directory, version), version), this_release_costs())
    except (OSError, ValueError, TypeError, KeyError, BadZipFile) as error:
        raise UnusableArtifact(f"Model {version} cannot be read ({error}). Copy its two files again.") from error


def headers(directory: Path) -> Iterator[tuple[str, Mapping[str, Any] | None]]:
    """Every version that the folder and the program have, by name; None where its header cannot be read."""
    found = {path.stem: path for folder in (ARTIFACTS, directory) for path in folder.glob("*.json")}
    for version, path in sorted(found.items()):
        if path.name == CURRENT or not _is_version(version):
            continue
        header = None
        with suppress(OSError, ValueError):
            header = json.loads(path.read_text(encoding="utf-8"))
        yield version, header if isinstance(header, dict) else None


def promote(directory: Path, version: str, *, force: bool = False) -> Current:
    """Make a version current; services that poll the folder take it up. Promoting the current one changes nothing.

    Raises UnusableArtifact where it does not load, WorseModel where its figures are worse (unless `force`), and
    DirectoryNotWritable. Then nothing has changed.
    """
    new = load(directory, version).weights.header
    try:
        now = read_current(directory)
    except UnusableArtifact:  # promoting is what repairs it
        return _write(directory, Current(version))
    if version == now.version:
        return now
    faults = [] if force else worse_figures(new, _header(directory, now.version))
    if faults:
        raise WorseModel(
            f"{version} is worse than {now.version}: {'; '.join(faults)}. Train it again, or insist with --force."
        )
    return _write(directory, Current(version, (now.version, *now.previous)[:KEPT]))


def rollback(directory: Path) -> Current:
    """Make the version current that was so before. Raises NothingToRollBack, UnusableArtifact, DirectoryNotWritable."""
    now = read_current(directory)
    if not now.previous:
        raise NothingToRollBack()
    load(directory, now.previous[0])
    return _write(directory, Current(now.previous[0], now.previous[1:]))


def is_intact(directory: Path, header: Mapping[str, Any]) -> bool:
    """Whether a version's files are still those that this header was read with. Blocks."""
    version = str(header["model_version"])
    try:
        content = (folder_of(directory, version) / f"{version}.npz").read_bytes()
    except OSError:
        return False
    now = _header(directory, version).get("sha256")
    return bool(now == header.get("sha256") == hashlib.sha256(content).hexdigest())


def _header(directory: Path, version: str) -> Mapping[str, Any]:
    """A version's header; empty where it cannot be read, since for `promote` anything is better than that."""
    with suppress(UnusableArtifact, OSError, ValueError):
        found = json.loads((folder_of(directory, version) / f"{version}.json").read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else {}
    return {}


def worse_figures(new: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """In which recorded figures (`figures` of the headers, shares of 1) `new` is worse; empty: in none.

    Figures whose name speaks of errors (called_, error, review, abstention, loss) are better when lower, all others
    when higher; numbers of texts and ends of intervals are passed over. Figures from other texts say nothing.
    """
    tests, others = set(new.get("held_back") or ()), set(now.get("held_back") or ())
    if tests and others and tests != others:
        return ["its figures come from other texts; measure both with `fenliu classifier evaluate FILE` and compare"]
    ours, theirs = _flat(new.get("figures") or {}), _flat(now.get("figures") or {})
    if theirs and not ours:
        return ["it has no recorded figures; `fenliu classifier train` writes them"]
    faults = []
    for name in sorted(ours.keys() & theirs.keys()):
        loss = ours[name] - theirs[name] if _LOW_IS_GOOD.search(name) else theirs[name] - ours[name]
        if loss > TOLERANCE:
            faults.append(f"{name} {ours[name]:.3f} instead of {theirs[name]:.3f}")
    return faults


def _flat(figures: Mapping[str, Any], before: str = "") -> dict[str, float]:
    found: dict[str, float] = {}
    for name, value in figures.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{before}{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool) and not _NO_QUALITY.search(name):
            found[f"{before}{name}"] = float(value)
    return found


def _write(directory: Path, current: Current) -> Current:
    """Replace current.json: a reader sees the old or the new one, whole, also after a power cut."""
    content = {"model_version": current.version, "previous": list(current.previous)}
    try:
        directory.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=".current-", suffix=".part", dir=directory)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(json.dumps(content, indent=2) + "\n")
                file.flush()
                os.fchmod(file.fileno(), 0o644)  # mkstemp's files are their owner's alone; the service reads this one
                os.fsync(file.fileno())
            os.replace(temporary, directory / CURRENT)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        _sync(directory)
    except OSError as error:
        raise DirectoryNotWritable(f"{directory / CURRENT} cannot be replaced: {error.strerror}.") from error
    return current


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
