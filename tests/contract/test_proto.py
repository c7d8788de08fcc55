"""buf: lint, and nothing that would break a reader of what the history already has."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUF = str(Path(sys.executable).parent / "buf")


def buf(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([BUF, *arguments], capture_output=True, text=True, timeout=60, cwd=ROOT)


@pytest.fixture(scope="module")
def history() -> str:
    """The contracts of the last commit, as buf names them."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("no git history here, so nothing to compare the contracts with")
    return f"{ROOT}/.git#ref=HEAD,subdir=proto"


def test_proto_lint_finds_nothing() -> None:
    done = buf("lint", "proto")
    assert done.returncode == 0, done.stdout + done.stderr


def test_proto_nothing_breaks_readers_of_the_last_commit(history: str) -> None:
    done = buf("breaking", "proto", "--against", history)
    assert done.returncode == 0, done.stdout + done.stderr


def test_proto_changed_type_is_found(history: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "proto", tmp_path / "proto")
    path = tmp_path / "proto/fenliu/events/v1/ticket.proto"
    path.write_text(path.read_text().replace("int32 score = 4;", "string score = 4;"))
    done = buf("breaking", str(tmp_path / "proto"), "--against", history)
    assert done.returncode != 0
    assert "score" in done.stdout


def test_proto_field_without_comment_is_found(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "proto", tmp_path / "proto")
    path = tmp_path / "proto/fenliu/events/v1/agent.proto"
    path.write_text(path.read_text().replace("  // Skill slug of fenliu/contracts/skills.toml.\n", ""))
    assert buf("lint", str(tmp_path / "proto")).returncode != 0
