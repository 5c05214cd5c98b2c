"""The embedded layer is a door, not a second ROS: it is small, and has nothing that no node, launch or command uses.

What counts, told from the source alone. Every function, class, method, attribute (`self.name = ...`) and assigned name
of `ami_embedded` is a definition. It is used when its name is read (`name` or `something.name`)

- by a node (`ami_nodes`), a command (`ami_robot/cli`) or a benchmark, which starts nodes;
- by a module's own code, which for `run` and `launch` calls their `main`;
- by a definition that is used itself, so that two that only use each other are not.

Names are compared without their owners: one may hide behind another of the same name. Importing and re-exporting is no
use, and tests are no users: what they alone call is not needed. An enum's members, which are looked up by number or
name, go with the enum. A private class is one definition with its methods, which the standard library may call. In a
file that looks names up (`getattr`) strings may be names. Private names are followed, but only public ones are judged.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
LAYER = ROOT / "ros_ws" / "embedded" / "ami_embedded"
USERS = (ROOT / "ros_ws" / "src" / "ami_nodes" / "ami_nodes", ROOT / "ami_robot" / "cli", ROOT / "benchmarks")
MOST_LINES = 5000
NEEDED_ALL_THE_SAME = {
    "get_subscription_count": "who publishes a single message, as tests do, has to know that somebody will hear it",
    "debug": "what --log-level debug would show",
}
LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


class Definition(NamedTuple):
    """`names` are those it reads; `name` is empty for the module's own code."""

    where: str
    name: str
    names: frozenset[str]


def code_lines(source: str) -> int:
    """Lines with code: neither blank, nor comment, nor docstring."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    lines = {line for t in tokens if t.type not in LAYOUT for line in range(t.start[0], t.end[0] + 1)}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines)


def read_names(*trees: ast.AST, strings: bool = False) -> frozenset[str]:
    found = set()
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            found.add(node.attr)
        elif strings and isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
    return frozenset(found)


def definitions(body: list[ast.stmt], where: str, strings: bool) -> Iterator[Definition]:
    """Those of a module or class, and its own code."""
    own: list[ast.AST] = []
    for statement in body:
        if isinstance(statement, ast.ClassDef) and not statement.name.startswith("_"):
            inside = f"{where}.{statement.name}"
            is_enum = any(name.endswith("Enum") for name in read_names(*statement.bases))
            members = list(definitions(statement.body, inside, strings))
            heading = read_names(*statement.bases, *statement.keywords, *statement.decorator_list)
            for member in members:
                if not member.name or is_enum:
                    heading |= member.names
            yield Definition(inside, statement.name, heading)
            yield from (member for member in members if member.name and not is_enum)
        elif isinstance(statement, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield Definition(f"{where}.{statement.name}", statement.name, read_names(statement, strings=strings))
            if isinstance(statement, ast.FunctionDef):
                yield from attributes(statement, where)
            own += statement.decorator_list
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            names = [node.id for t in targets for node in ast.walk(t) if isinstance(node, ast.Name)]
            for name in names:
                yield Definition(f"{where}.{name}", name, read_names(statement, strings=strings))
            if not names:
                own.append(statement)
        elif not isinstance(statement, ast.Import | ast.ImportFrom):
            own.append(statement)
    yield Definition(where, "", read_names(*own))


def attributes(function: ast.FunctionDef, where: str) -> Iterator[Definition]:
    for node in ast.walk(function):
        stored = isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
        if stored and isinstance(node.value, ast.Name) and node.value.id == "self":
            yield Definition(f"{where}.{node.attr}", node.attr, frozenset())


def all_definitions() -> Iterator[Definition]:
    for path in sorted(LAYER.rglob("*.py")):
        source = path.read_text()
        yield from definitions(ast.parse(source).body, str(path.relative_to(LAYER)), "getattr(" in source)


def unused(found: list[Definition]) -> list[Definition]:
    used = set(NEEDED_ALL_THE_SAME)
    for path in (path for folder in USERS for path in folder.rglob("*.py")):
        used |= read_names(ast.parse(path.read_text()))
    while reached := [d for d in found if not d.name or d.name in used or d.name.startswith("__")]:
        found = [d for d in found if d not in reached]
        used.update(*(d.names for d in reached))
    return [d for d in found if not d.name.startswith("_")]


def test_every_public_name_is_used_by_a_node_the_launcher_or_a_command():
    assert sorted(d.where for d in unused(list(all_definitions()))) == []


def test_what_only_its_like_uses_is_unused():
    source = "def lonely(): twin()\ndef twin(): lonely()\nclass _Hook:\n def called(self): answer\nanswer = 42\n_Hook()"
    found = unused(list(definitions(ast.parse(source).body, "planted", strings=False)))
    assert [d.where for d in found] == ["planted.lonely", "planted.twin"]


def test_the_layer_stays_small():
    lines = {path: code_lines(path.read_text()) for path in LAYER.rglob("*.py")}
    print(f"\n{sum(lines.values())} lines of code in {len(lines)} files")
    assert 0 < sum(lines.values()) <= MOST_LINES
