"""buf: lint, and nothing that would break a reader of what the history already has."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUF = str(Path(sys.executable).parent / "buf")


def buf(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([BUF, *arguments], capture_output=True, text=True, timeout=60, cwd=ROOT)


def git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], capture_output=True, timeout=60, cwd=ROOT, check=True).stdout


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The contracts as they were before their last change; in a shallow clone, as they were committed.

    Unpacked, because buf would clone the whole repository each time.
    """
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("no git history here, so nothing to compare the contracts with")
    unpacked = tmp_path_factory.mktemp("history")
    changed = git("log", "--max-count=2", "--format=%H", "--", "proto").decode().split()
    with zipfile.ZipFile(io.BytesIO(git("archive", "--format=zip", changed[-1], "proto"))) as archive:
        archive.extractall(unpacked)
    return unpacked / "proto"


def test_proto_lint_finds_nothing() -> None:
    done = buf("lint", "proto")
    assert done.returncode == 0, done.stdout + done.stderr


def test_proto_nothing_breaks_readers_of_the_version_before(history: Path) -> None:
    done = buf("breaking", "proto", "--against", str(history))
    assert done.returncode == 0, done.stdout + done.stderr


def test_proto_changed_type_is_found(history: Path, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "proto", tmp_path / "proto")
    path = tmp_path / "proto/fenliu/events/v1/ticket.proto"
    path.write_text(path.read_text().replace("int32 score = 4;", "string score = 4;"))
    done = buf("breaking", str(tmp_path / "proto"), "--against", str(history))
    assert done.returncode != 0
    assert "score" in done.stdout


def test_proto_field_without_comment_is_found(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "proto", tmp_path / "proto")
    path = tmp_path / "proto/fenliu/events/v1/agent.proto"
    path.write_text(path.read_text().replace("  // Skill slug of fenliu/contracts/skills.toml.\n", ""))
    assert buf("lint", str(tmp_path / "proto")).returncode != 0
