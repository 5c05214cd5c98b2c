"""Small changes to source code that tests should notice: one place at a time, or everything that makes a guardrail.

A mutant changes one place: a comparison, a sign, a constant, a condition, a returned value, a deleted statement.
Messages, annotations, docstrings and assertions (`strict=True` is one) stay as they are, and so does on which side the
very edge of what is forgiven as ROUNDING lies. `without_row` deletes a whole guardrail instead.
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass

_SWAPPED: dict[type[ast.AST], tuple[type[ast.AST], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,), ast.NotIn: (ast.In,), ast.And: (ast.Or,), ast.Or: (ast.And,),
    ast.Add: (ast.Sub,), ast.Sub: (ast.Add,), ast.Mult: (ast.Div,), ast.Div: (ast.Mult,), ast.Pow: (ast.Mult,),
    ast.FloorDiv: (ast.Mult,), ast.Mod: (ast.Mult,),
}  # fmt: skip
_AT_THE_EDGE = ({ast.Lt, ast.LtE}, {ast.Gt, ast.GtE})
_OPPOSITES = {"min": "max", "minimum": "maximum", "argmin": "argmax", "any": "all", "ceil": "floor", "sin": "cos"}
_OPPOSITES |= {there: here for here, there in _OPPOSITES.items()}
_DELETABLE = (ast.Expr, ast.AugAssign, ast.Raise, ast.Continue, ast.Break)


@dataclass(frozen=True)
class Mutant:
    """One change of one place. `node` and `variant` find it again in the same source."""

    file: str
    line: int
    scope: str  # qualified name of the function or class, '' for the module
    change: str  # source before -> after
    node: int
    variant: int


def mutants(source: str, file: str) -> list[Mutant]:
    """Every mutant of this source, in the order of the file."""
    tree = ast.parse(source)
    asserted = {word.value for word in ast.walk(tree) if isinstance(word, ast.keyword) and word.arg == "strict"}
    found = []
    for number, (node, scope) in enumerate(_places(tree)):
        if node in asserted:
            continue
        for variant, changed in enumerate(_changes(node)):
            change = f"{ast.unparse(node)} -> {ast.unparse(changed)}"
            found.append(Mutant(file, node.lineno, scope, change, number, variant))
    return found


def mutated(source: str, mutant: Mutant) -> ast.Module:
    """The source with this one change."""
    tree = ast.parse(source)
    node = next(node for number, (node, _) in enumerate(_places(tree)) if number == mutant.node)
    return _replaced(tree, node, _changes(node)[mutant.variant])


def string_constants(tree: ast.Module) -> dict[str, str]:
    """Names that the module gives to texts: a row may be refused by such a name."""
    return {
        statement.targets[0].id: statement.value.value
        for statement in tree.body
        if isinstance(statement, ast.Assign)
        and isinstance(statement.targets[0], ast.Name)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    }


def without_row(tree: ast.Module, row: str, constants: dict[str, str]) -> ast.Module | None:
    """The module without one guardrail: it refuses nothing by this name and has no margin of it. None: as before."""
    before = ast.dump(tree)
    changed = ast.fix_missing_locations(_RowDeleter(row, constants).visit(tree))
    return None if ast.dump(changed) == before else changed


def _places(tree: ast.AST, scope: str = "") -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    """Expressions and statements whose value is behaviour, each with the name of what it stands in."""
    for child in _behaviour_of(tree):
        inner = scope
        if isinstance(child, ast.FunctionDef | ast.ClassDef):
            inner = f"{scope}.{child.name}".lstrip(".")
        if isinstance(child, ast.expr | ast.stmt):
            yield child, inner
        yield from _places(child, inner)


def _behaviour_of(node: ast.AST) -> Iterator[ast.AST]:
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "ctx"):
            continue
        for child in value if isinstance(value, list) else [value]:
            quiet = isinstance(child, ast.JoinedStr | ast.Assert | ast.Import | ast.ImportFrom) or _is_docstring(child)
            if isinstance(child, ast.AST) and not quiet:
                yield child


def _is_docstring(node: object) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _changes(node: ast.expr | ast.stmt) -> list[ast.AST]:
    """What can stand here instead."""
    if isinstance(node, ast.Compare):
        rounded = any(isinstance(part, ast.Name) and part.id == "ROUNDING" for part in ast.walk(node))
        return [
            _with(node, ops=[*node.ops[:place], other(), *node.ops[place + 1 :]])
            for place, op in enumerate(node.ops)
            for other in _SWAPPED.get(type(op), ())
            if not (rounded and {type(op), other} in _AT_THE_EDGE)
        ]
    if isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign):
        changes: list[ast.AST] = [_with(node, op=other()) for other in _SWAPPED.get(type(node.op), ())]
        return [*changes, ast.Pass()] if isinstance(node, ast.AugAssign) else changes
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        return [node.operand]
    if isinstance(node, ast.Constant):
        return _other_constants(node.value)
    if isinstance(node, ast.If | ast.IfExp | ast.While) and isinstance(node.test, ast.Name | ast.Attribute | ast.Call):
        return [_with(node, test=ast.UnaryOp(ast.Not(), node.test))]
    if isinstance(node, ast.Return) and node.value is not None and not _is_none(node.value):
        return [ast.Return(ast.Constant(None))]
    if isinstance(node, ast.Call):
        return _other_calls(node)
    stores = isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute | ast.Subscript)
    return [ast.Pass()] if stores or isinstance(node, _DELETABLE) else []


def _other_constants(value: object) -> list[ast.AST]:
    if isinstance(value, bool):
        return [ast.Constant(not value)]
    if isinstance(value, int | float):
        return [ast.Constant(value + 1)]
    if isinstance(value, str) and re.fullmatch(r"[a-z][a-z_0-9]+", value):  # a name, not a sentence
        return [ast.Constant(f"not_{value}")]
    return []


def _other_calls(node: ast.Call) -> list[ast.AST]:
    if isinstance(node.func, ast.Name) and node.func.id in _OPPOSITES:
        return [_with(node, func=ast.Name(_OPPOSITES[node.func.id], ast.Load()))]
    if isinstance(node.func, ast.Attribute) and node.func.attr in _OPPOSITES:
        return [_with(node, func=ast.Attribute(node.func.value, _OPPOSITES[node.func.attr], ast.Load()))]
    return []


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _with(node: ast.AST, **fields: object) -> ast.AST:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def _replaced(tree: ast.Module, old: ast.AST, new: ast.AST) -> ast.Module:
    class Replacer(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> ast.AST:
            return ast.copy_location(new, node) if node is old else self.generic_visit(node)

    Replacer().visit(tree)  # in place: the module itself stays
    return ast.fix_missing_locations(tree)


class _RowDeleter(ast.NodeTransformer):
    """`Refusal(.., row, ..)` becomes None, returning it becomes nothing, `{row: margin}` and `[row] = margin` go."""

    def __init__(self, row: str, constants: dict[str, str]) -> None:
        self._row, self._constants = row, constants

    def visit_Return(self, node: ast.Return) -> ast.AST:
        return ast.Pass() if self._refuses(node.value) else self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        return ast.Constant(None) if self._refuses(node) else self.generic_visit(node)

    def visit_Dict(self, node: ast.Dict) -> ast.AST:
        self.generic_visit(node)
        kept = [pair for pair in zip(node.keys, node.values, strict=True) if not self._is_row(pair[0])]
        return ast.Dict([key for key, _ in kept], [value for _, value in kept])

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        target = node.targets[0]
        goes = isinstance(target, ast.Subscript) and self._is_row(target.slice)
        return ast.Pass() if goes else self.generic_visit(node)

    def _refuses(self, node: ast.AST | None) -> bool:
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id != "Refusal":
            return False
        return any(map(self._is_row, [*node.args[1:2], *(word.value for word in node.keywords)]))

    def _is_row(self, node: ast.AST | None) -> bool:
        if isinstance(node, ast.Name):
            return self._constants.get(node.id) == self._row
        return isinstance(node, ast.Constant) and node.value == self._row
