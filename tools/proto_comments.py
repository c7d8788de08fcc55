"""What the comments in proto/ say about every message, field and value. Descriptors at run time carry no comments."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

PROTO = Path(__file__).resolve().parent.parent / "proto"
MESSAGE, ENUM = 4, 5
FIELD, VALUE = 2, 2
"""Numbers of the fields in descriptor.proto that a source location's path consists of."""


@cache
def comments() -> dict[str, str]:
    """Comment by full name, such as fenliu.events.v1.TicketRated.score, on one line."""
    files = [str(path.relative_to(PROTO)) for path in sorted(PROTO.rglob("*.proto"))]
    with tempfile.NamedTemporaryFile() as output:
        command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO}", "--include_source_info"]
        command += [f"--descriptor_set_out={output.name}", *files]
        subprocess.run(command, check=True, cwd=PROTO)  # noqa: S603 - our own files
        described = FileDescriptorSet.FromString(Path(output.name).read_bytes())
    found: dict[str, str] = {}
    for file in described.file:
        for location in file.source_code_info.location:
            name = _name(file, list(location.path))
            if name:
                found[name] = " ".join(location.leading_comments.split())
    return found


def _name(file: FileDescriptorProto, path: list[int]) -> str:
    if len(path) not in (2, 4) or path[0] not in (MESSAGE, ENUM):
        return ""
    outer = file.message_type[path[1]] if path[0] == MESSAGE else file.enum_type[path[1]]
    name = f"{file.package}.{outer.name}"
    if len(path) == 2:
        return name
    if path[0] == MESSAGE and path[2] == FIELD:
        return f"{name}.{outer.field[path[3]].name}"
    if path[0] == ENUM and path[2] == VALUE:
        return f"{name}.{outer.value[path[3]].name}"
    return ""
