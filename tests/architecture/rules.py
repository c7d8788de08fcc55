"""Rules about the code that a linter of imports cannot see. Each is a function from one parsed file to its violations.

A line that must break a rule says so: `# allowed: <rule> - why`. Every rule has bad code in test_rules.py that it must
find; a rule that has never been seen failing is not trusted.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 60
DRAWERS = frozenset(
    [
        "util",
        "utils",
        "common",
        "helper",
        "helpers",
        "misc",
        "manager",
        "managers",
        "base",
        "core",
        "impl",
        "constants",
        "exceptions",
    ]
)
HIDDEN_INPUTS = frozenset(
    ["now", "utcnow", "today", "uuid1", "uuid4", "uuid7", "time", "monotonic", "perf_counter", "urandom", "token_hex"]
)
BROAD_EXCEPT_AT = (
    "fenliu/chassis/messaging/consumer",
    "fenliu/chassis/messaging/batch.py",
    "fenliu/chassis/worker.py",
    "fenliu/chassis/http",
)


@dataclass(frozen=True)
class Source:
    """A file of the tree: path from the root with forward slashes, and its text."""

    path: str
    text: str

    @property
    def parts(self) -> tuple[str, ...]:
        return PurePosixPath(self.path).parts

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    def within(self, *folders: str) -> bool:
        return any(self.path == folder or self.path.startswith(f"{folder}/") for folder in folders)

    @property
    def is_domain(self) -> bool:
        return self.within("services") and ("domain" in self.parts or self.parts[-1] == "domain.py")


@dataclass(frozen=True)
class Violation:
    path: str
    line: int
    rule: str
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}: {self.what}"


Found = Iterator[tuple[int, str]]


def hidden_input(source: Source, tree: ast.Module) -> Found:
    """A domain function that asks the clock, the operating system or a random source itself cannot be tested at a
    given moment: a ticket was once due an hour late for one hour a year. Blind spot: a callable passed in."""
    if source.is_domain:
        for call in _calls(tree):
            if isinstance(call.func, ast.Attribute) and call.func.attr in HIDDEN_INPUTS:
                yield call.lineno, f".{call.func.attr}() is an input; pass it as an argument"
            elif isinstance(call.func, ast.Name) and call.func.id in HIDDEN_INPUTS | {"open"}:
                yield call.lineno, f"{call.func.id}() is an input; pass what it gives as an argument"


def async_domain(source: Source, tree: ast.Module) -> Found:
    """A decision that awaits is a decision that can be interrupted half-way. Blind spot: none known."""
    if source.is_domain:
        for node in ast.walk(tree):
            if isinstance(node, ast.AsyncFunctionDef | ast.Await):
                yield node.lineno, "the domain decides, it never waits"


def own_commit(source: Source, tree: ast.Module) -> Found:
    """Two commits in one unit of work lose the second when the process dies between them; chassis.db has the only
    one. Blind spot: `COMMIT` as text."""
    if source.within("services"):
        for call in _calls(tree):
            if isinstance(call.func, ast.Attribute) and call.func.attr in ("commit", "rollback"):
                yield call.lineno, f".{call.func.attr}() belongs to the block that opened the transaction"


def drawer(source: Source, tree: ast.Module) -> Found:
    """Whatever has no home lands in utils.py, and then everything imports it. Blind spot: other vague names."""
    if PurePosixPath(source.path).stem in DRAWERS or DRAWERS.intersection(source.parts[:-1]):
        yield 1, "say in the module's name what is in it"


def long_file(source: Source, tree: ast.Module) -> Found:
    """Nobody reads a thousand lines before changing one. Blind spot: long lines (the formatter's business)."""
    if len(source.lines) > MAX_FILE_LINES:
        yield MAX_FILE_LINES, f"{len(source.lines)} lines; at most {MAX_FILE_LINES}. Make a folder of the same name"


def long_function(source: Source, tree: ast.Module) -> Found:
    """A function that does not fit on a screen hides its one mistake. Blind spot: deep nesting."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MAX_FUNCTION_LINES:
                yield node.lineno, f"{node.name} has {length} lines; at most {MAX_FUNCTION_LINES}"


def kafka_elsewhere(source: Source, tree: ast.Module) -> Found:
    """aiokafka has bugs that are worked around in one place (see chassis/messaging/kafka); a second place would not
    have them worked around. Blind spot: import by name at run time."""
    if source.within("fenliu", "services") and not source.within(
        "fenliu/chassis/messaging/kafka", "fenliu/chassis/messaging/kafka.py", "fenliu/chassis/messaging/embedded"
    ):
        yield from ((line, "use fenliu.chassis.messaging.kafka") for line in _imports(tree, "aiokafka"))


def sql_elsewhere(source: Source, tree: ast.Module) -> Found:
    """SQL outside store and tables is not run on both databases by the store tests. Blind spot: text in a variable."""
    if source.within("services") and source.parts[2:]:
        role = source.parts[2].removesuffix(".py")
        if role not in ("store", "tables", "migrations"):
            yield from ((line, "only store and tables write SQL") for line in _imports(tree, "sqlalchemy"))


def broad_except(source: Source, tree: ast.Module) -> Found:
    """A swallowed bug looks like a quiet system. Only the consumer loop, the worker loop and the HTTP boundary may
    catch everything. Blind spot: long tuples of exceptions."""
    if source.within("fenliu", "services") and not source.path.startswith(BROAD_EXCEPT_AT):
        for node in ast.walk(tree):
            if not isinstance(node, ast.ExceptHandler) or not _catches_everything(node):
                continue
            if not any(isinstance(inner, ast.Raise) for inner in ast.walk(node)):
                yield node.lineno, "catch what you expect"


def stub(source: Source, tree: ast.Module) -> Found:
    """A promise that raises NotImplementedError is found by the first customer. Blind spot: an empty body."""
    if source.within("fenliu", "services"):
        for node in ast.walk(tree):
            if isinstance(node, ast.Raise) and "NotImplementedError" in ast.unparse(node):
                yield node.lineno, "write it, or leave it out"


def patching(source: Source, tree: ast.Module) -> Found:
    """A patched name tests the patch. Pass a fake through the constructor. Blind spot: assignment to an attribute."""
    if source.within("tests") and not source.within("tests/integration"):
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module in ("unittest.mock", "mock"):
                yield node.lineno, "use a fake"
            if isinstance(node, ast.Import) and any(name.name in ("unittest.mock", "mock") for name in node.names):
                yield node.lineno, "use a fake"


RULES: dict[str, Callable[[Source, ast.Module], Found]] = {
    "hidden-input": hidden_input,
    "async-domain": async_domain,
    "own-commit": own_commit,
    "drawer": drawer,
    "long-file": long_file,
    "long-function": long_function,
    "kafka-elsewhere": kafka_elsewhere,
    "sql-elsewhere": sql_elsewhere,
    "broad-except": broad_except,
    "stub": stub,
    "patching": patching,
}


def check(source: Source) -> list[Violation]:
    """Every violation in one file, without those that its lines allow."""
    tree = ast.parse(source.text)
    lines = source.lines
    found = []
    for name, rule in RULES.items():
        for line, what in rule(source, tree):
            said = lines[line - 1] if 0 < line <= len(lines) else ""
            if f"# allowed: {name} - " not in said:
                found.append(Violation(source.path, line, name, what))
    return found


def tree_sources(root: Path) -> list[Source]:
    """Every Python file that people write; generated message classes are left out."""
    sources = []
    for folder in ("fenliu", "services", "tests", "bench", "tools"):
        for path in sorted((root / folder).rglob("*.py")):
            relative = path.relative_to(root).as_posix()
            if "/contracts/gen/" not in relative:
                sources.append(Source(relative, path.read_text(encoding="utf-8")))
    return sources


def _calls(tree: ast.Module) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _imports(tree: ast.Module, package: str) -> Iterator[int]:
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        if any(name == package or name.startswith(f"{package}.") for name in names):
            yield node.lineno


def _catches_everything(handler: ast.ExceptHandler) -> bool:
    caught = handler.type
    names = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(
        name is None or (isinstance(name, ast.Name) and name.id in ("Exception", "BaseException")) for name in names
    )
