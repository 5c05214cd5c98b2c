"""What README and docs tell people to type exists, and where they point, there is something."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from ami_robot.cli.main import build_parser

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "ros_ws" / "embedded" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BARE = [["collect"], ["export"], ["pretrain"], ["backbone"], ["train"], ["train-policy"], ["train-error-predictor"]]
BARE += [["diagnose"], ["goal"], ["demo"], ["eval"], ["calibrate"], ["ros"], ["pursue"]]
"""Named on their own, as a verb, not to be typed like that."""

TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
NODES = ROOT / "ros_ws" / "src" / "ami_nodes" / "ami_nodes"


def commands(pattern: str) -> list[str]:
    """Commands in code blocks and in backticks, comments and line breaks removed."""
    found = []
    for page in PAGES:
        text = page.read_text()
        blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
        lines = [line for block in blocks for line in block.splitlines()]
        lines += [" ".join(quoted.split()) for quoted in re.findall(r"`([^`]+)`", prose)]
        found += [line.split(" #")[0].strip() for line in lines if re.match(pattern, line.strip())]
    return sorted(set(found))


@pytest.mark.parametrize("command", commands(r"(\.venv/bin/)?ami [a-z-]"))
def test_every_ami_command_parses(command):
    words = shlex.split(command)[1:]
    if "--help" in words or "VERB" in words or words in BARE:
        return
    build_parser()[0].parse_args(words)


@pytest.mark.parametrize("command", commands(r"make [a-z]"))
def test_every_make_target_exists(command):
    target, *settings = shlex.split(command)[1:]
    assert target in TARGETS
    for setting in settings:
        name, _, value = setting.partition("=")
        assert name in ("ARGS", "PIP_ARGS")
        if name == "ARGS" and target == "demo":
            build_parser()[0].parse_args(["demo", *shlex.split(value)])


def test_make_help_lists_every_target():
    listed = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"^  make ([a-z-]+)", listed, re.MULTILINE)) == TARGETS


@pytest.mark.parametrize("command", commands(r"python -m ami_embedded\.launch"))
def test_every_launch_command_is_accepted(command):
    words = shlex.split(command)[1:]
    done = subprocess.run([sys.executable, *words, "--print"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        assert target.startswith("https://") or (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_are_named_exist(page):
    folders = "ami_robot|sim/ami_sim|calibration|ros_ws|benchmarks|docs|tests"
    for name in re.findall(rf"`((?:{folders})/[\w./-]+)`", page.read_text()):
        if "results/" not in name and "checkpoints/" not in name:
            assert (ROOT / name).exists(), name


def test_every_folder_of_the_tree_is_in_the_readme():
    text = (ROOT / "README.md").read_text()
    for package in (ROOT / "ami_robot").glob("*/__init__.py"):
        assert f"`ami_robot/{package.parent.name}/`" in text, package


def test_the_table_of_parameters_is_what_the_nodes_say():
    command = [sys.executable, "-m", "ami_embedded.run", "ami_nodes.reference"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    table = "\n".join(line for line in printed.splitlines() if line.startswith("|"))
    declared = {name for file in NODES.glob("*.py") for name in re.findall(r'Param\(\s*"(\w+)"', file.read_text())}
    assert {name for name in declared if f"`{name}`" not in table} == set()
    page = (ROOT / "docs" / "reference" / "graph.md").read_text()
    assert table in page, f"put the output of {' '.join(command[1:])} into docs/reference/graph.md"


def test_every_topic_is_in_the_reference():
    text = (ROOT / "docs" / "reference" / "graph.md").read_text()
    pattern = r'(?:publisher|subscription|create_service|create_client)\(\s*\w+,\s*"([\w/]+)"'
    used = {name for file in NODES.glob("*.py") for name in re.findall(pattern, file.read_text())}
    assert len(used) >= 12
    assert {name for name in used if f"`{name}`" not in text} == set()
