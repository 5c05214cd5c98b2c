"""The table of the guardrails says what the file and the code say, and names tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from ami_robot.cli.guardrails import markdown
from ami_robot.safety.table import LAYERS, TABLE, numbers

ROOT = Path(__file__).parents[2]
ROWS = {entry.row: entry for entry in TABLE}


def rows_of(spec) -> list[str]:
    return [name for name, value in vars(spec).items() if hasattr(value, "__dataclass_fields__")]


def refused_rows(tree: ast.Module) -> set[str]:
    """The second argument of each Refusal(..), where it is written out or a name of the module's for a text."""
    names = {
        statement.targets[0].id: statement.value
        for statement in tree.body
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)
    }
    calls = [
        node for node in ast.walk(tree) if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Refusal"
    ]
    given = [word.value for call in calls for word in call.keywords if word.arg == "guardrail"]
    given += [argument for call in calls for argument in call.args[1:2]]
    given = [names.get(node.id) if isinstance(node, ast.Name) else node for node in given]
    return {node.value for node in given if isinstance(node, ast.Constant)}


def test_every_row_of_the_guardrail_file_is_in_the_table_in_its_order(spec):
    assert [entry.row for entry in TABLE][: len(rows_of(spec))] == rows_of(spec)
    assert len(ROWS) == len(TABLE)


def test_what_the_table_has_beyond_the_file_has_no_numbers(spec):
    for row in set(ROWS) - set(rows_of(spec)):
        assert numbers(spec, row) == ""
        assert ROWS[row].unit == ""


def test_every_guardrail_that_refuses_is_in_the_table():
    refusing = {
        row: path.name
        for path in sorted((ROOT / "ami_robot").rglob("*.py"))
        for row in refused_rows(ast.parse(path.read_text()))
    }
    assert len(refusing) > 15
    assert {row: name for row, name in refusing.items() if row not in ROWS} == {}


def test_every_layer_is_one_of_those_explained():
    for entry in TABLE:
        assert entry.layers
        assert set(entry.layers) <= set(LAYERS), entry.row


@pytest.mark.parametrize("row", ROWS)
def test_the_named_test_exists(row):
    path, _, name = ROWS[row].test.partition("::")
    tree = ast.parse((ROOT / path).read_text())
    assert name in [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]


def test_every_number_of_the_file_is_shown(spec):
    assert (
        numbers(spec, "joint_velocity")
        == "limit_rad_per_s [2.175, 2.175, 2.175, 2.175, 2.61, 2.61, 2.61], command_fraction 0.9"
    )
    assert numbers(spec, "tool_displacement") == "max_m_per_step 0.04, tolerance_m 1e-06"
    assert "edge: max_energy_j 0.02, may_face_people no; " in numbers(spec, "tool_hazard")
    assert "boxes camera_post: lower_m [1, -0.08, 0], upper_m [1.2, 0.08, 1.2]" in numbers(spec, "obstacles")


@pytest.mark.parametrize("row", ROWS)
def test_formulas_use_the_keys_of_the_file(spec, row):
    named = re.findall(
        r"\b[a-z_]+_(?:m|rad|s|m_per_s|rad_per_s[23]?|n_m|n|n_per_m|j|kg|cosine|value|fraction)\b", ROWS[row].holds
    )
    assert {key for key in named if f"{key} " not in numbers(spec, row)} == set()
    assert named or row in ("staleness", "trajectory", "e_stop") or row not in rows_of(spec)


def test_the_reference_page_is_the_table_as_it_is_now(spec):
    page = (ROOT / "docs" / "reference" / "guardrails.md").read_text()
    assert all(f"| {layer} | {meaning} |" in page for layer, meaning in LAYERS.items())
    assert markdown(spec) in page, "put the output of `ami guardrails --markdown` into docs/reference/guardrails.md"
