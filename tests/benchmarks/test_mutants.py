"""What the mutation benchmark changes, and what it leaves alone."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import yaml

from benchmarks.mutants import mutants, mutated, string_constants, without_row


def changes(source: str) -> list[str]:
    return [mutant.change for mutant in mutants(source, "module.py")]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a < b", ["a < b -> a <= b", "a < b -> a >= b"]),
        ("a > -ROUNDING", ["a > -ROUNDING -> a <= -ROUNDING", "-ROUNDING -> ROUNDING"]),
        ("zip(a, b, strict=True)", []),
        ("not a", ["not a -> a"]),
        ("-a", ["-a -> a"]),
        ("a and b", ["a and b -> a or b"]),
        ("a + b", ["a + b -> a - b"]),
        ("x = 0.5", ["0.5 -> 1.5"]),
        ("x = True", ["True -> False"]),
        ("x = 'table'", ["'table' -> 'not_table'"]),
        ("x = np.minimum(a, b)", ["np.minimum(a, b) -> np.maximum(a, b)"]),
        ("self.x = a", ["self.x = a -> pass"]),
        ("x = a", []),
        ("x = 'The table is too near.'", []),
        ("x: Annotated[float, 3] = a", []),
        ("'''A docstring.'''", []),
        ("assert a < 3", []),
        ("x = f'{a + 1} m'", []),
    ],
)
def test_what_is_changed(source, expected):
    found = changes(source)
    assert [change for change in found if not change.endswith("-> pass") or change in expected] == expected


def test_a_return_a_condition_and_a_statement_can_go():
    source = "def f(a):\n    if a:\n        g()\n    return a\n"
    assert changes(source) == ["if a:\n    g() -> if not a:\n    g()", "g() -> pass", "return a -> return None"]
    assert {mutant.scope for mutant in mutants(source, "module.py")} == {"f"}


def test_a_mutant_changes_one_place_of_the_source():
    source = "x = a + 1\ny = b + 1\n"
    second = [mutant for mutant in mutants(source, "module.py") if mutant.change == "b + 1 -> b - 1"]
    assert [ast.unparse(mutated(source, mutant)) for mutant in second] == ["x = a + 1\ny = b - 1"]


def test_every_mutant_of_the_same_source_is_found_again_and_differs():
    source = "def f(q, a, b):\n    if not a <= q <= b:\n        return Refusal('No.', 'row', q - a)\n    return q\n"
    texts = [ast.unparse(mutated(source, mutant)) for mutant in mutants(source, "module.py")]
    assert len(set(texts)) == len(texts) == 9
    assert ast.unparse(ast.parse(source)) not in texts


def run(source: str, row: str) -> dict:
    names: dict = {"Refusal": lambda reason, guardrail, margin: guardrail}
    tree = ast.parse(source)
    exec(compile(without_row(tree, row, string_constants(tree)) or tree, "module.py", "exec"), names)
    return names


def test_without_a_row_nothing_is_refused_in_its_name():
    source = (
        "def f(a):\n    if a > 1:\n        return Refusal('far', 'reach', a)\n"
        "    return Refusal('low', 'table', a)\n"
        "def g(a):\n    refusal = Refusal('far', 'reach', a)\n    return refusal\n"
    )
    names = run(source, "reach")
    assert names["f"](2) == "table"
    assert names["g"](2) is None


def test_without_a_row_its_margin_goes_and_the_others_stay():
    names = run("margins = {'table': -1.0, 'reach': -2.0}\nmargins['torque'] = -3.0\n", "reach")
    assert names["margins"] == {"table": -1.0, "torque": -3.0}
    assert run("margins = {}\nmargins['torque'] = -3.0\n", "torque")["margins"] == {}


def test_a_row_that_is_refused_by_a_constant_goes_too():
    source = "ROW = 'reach'\nOTHER = 'table'\ndef f(a):\n    return Refusal('far', {}, a)\n"
    assert run(source.format("ROW"), "reach")["f"](2) is None
    assert run(source.format("OTHER"), "reach")["f"](2) == "table"


def test_every_mutant_listed_as_equivalent_is_one_of_the_code_and_has_a_reason():
    root = Path(__file__).parents[2]
    for item in yaml.safe_load((root / "benchmarks" / "equivalent_mutants.yaml").read_text()) or []:
        found = mutants((root / item["file"]).read_text(), item["file"])
        assert (item["scope"], item["change"]) in {(mutant.scope, " ".join(mutant.change.split())) for mutant in found}
        assert len(item["reason"]) > 20
