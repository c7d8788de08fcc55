"""Writes what is derived from proto/: message classes and the topic catalogue as Python. Run by `make gen`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
HEADER = '"""Generated from proto/topics.yaml by `make gen`. Do not edit."""\n'


def main() -> None:
    subprocess.run([tool("buf"), "generate", "--template", "proto/buf.gen.yaml"], cwd=ROOT, check=True)  # noqa: S603
    topics = ROOT / "fenliu/contracts/topics.py"
    topics.write_text(topics_module(), encoding="utf-8")
    subprocess.run([tool("ruff"), "format", "--quiet", str(topics)], cwd=ROOT, check=True)  # noqa: S603


def tool(name: str) -> str:
    """A program of the environment that runs this one."""
    return str(Path(sys.executable).parent / name)


def topics_module() -> str:
    """The catalogue as a module of frozen values, so that a wheel needs no YAML file at run time."""
    catalogue = yaml.safe_load((ROOT / "proto/topics.yaml").read_text(encoding="utf-8"))
    lines = [HEADER, "from dataclasses import dataclass\n\n\n@dataclass(frozen=True)", "class Topic:"]
    lines += ['    """One entry of the catalogue; the fields are explained in proto/topics.yaml."""\n']
    fields = {"name": "str", "events": "tuple[str, ...]", "key": "str", "partitions": "int", "retention_h": "int"}
    fields |= {"producers": "tuple[str, ...]", "consumers": "tuple[str, ...]", "formats": "tuple[str, ...]"}
    fields |= {"dead_letter": "str"}
    lines += [f"    {name}: {kind}" for name, kind in fields.items()]
    lines += ["\n"]
    for name, entry in catalogue.items():
        lines += [f"{constant(name)} = Topic("]
        values = {"name": name, **entry}
        lines += [f"    {field}={literal(values[field])}," for field in fields]
        lines += [")"]
    lines += ["\nCATALOGUE: dict[str, Topic] = {"]
    lines += [f'    "{name}": {constant(name)},' for name in catalogue]
    lines += ["}\n"]
    return "\n".join(lines)


def constant(topic: str) -> str:
    return topic.upper().replace("-", "_")


def literal(value: object) -> str:
    if isinstance(value, list):
        return "(" + ", ".join(f'"{item}"' for item in value) + ("," if len(value) == 1 else "") + ")"
    return f'"{value}"' if isinstance(value, str) else repr(value)


if __name__ == "__main__":
    main()
