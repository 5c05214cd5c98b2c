"""The files that the nodes will load, each by its own reader, and whether they belong together."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from ami_nodes.preflight import FaultError, Skipped
from ami_nodes.preflight_rehearsal import Tried
from ami_robot.configurator.configurator import build_monitor, load_task, task_file
from ami_robot.perception.checkpoint import Checkpoint, load_checkpoint
from ami_robot.safety.spec import Spec, load_spec, spec_file
from ami_robot.types import Refusal

SHOWN = 12
"""Digits of a SHA-256 that tell two files apart for people."""


def settings_named(tried: Sequence[Tried], parameter: str) -> dict[str, Any]:
    """{node: value} of all nodes that have this parameter."""
    return {one.label: one.settings[parameter] for one in tried if parameter in one.settings}


def check_guardrail_file(tried: Sequence[Tried]) -> str:
    """One valid file for all nodes."""
    files = {label: spec_file(value) for label, value in settings_named(tried, "guardrail_file").items()}
    if not files:
        raise Skipped("no node reads a guardrail file.")
    specs = {label: load_spec(file) for label, file in files.items()}
    if len({spec.sha256 for spec in specs.values()}) > 1:
        each = ", ".join(f"{label} {files[label]} ({spec.sha256[:SHOWN]})" for label, spec in specs.items())
        raise FaultError(f"the nodes have different guardrail files: {each}; start all with one.")
    first = next(iter(specs))
    return f"{files[first]} is valid and the same for {', '.join(files)}; sha256 {specs[first].sha256}."


def guardrails(tried: Sequence[Tried]) -> Spec:
    """The file of all nodes; raises Skipped when it is not one or no good, which check_guardrail_file tells."""
    files = set(settings_named(tried, "guardrail_file").values())
    if len(files) != 1:
        raise Skipped("there is not one guardrail file.")
    try:
        return load_spec(spec_file(files.pop()))
    except ValueError as error:
        raise Skipped("the guardrail file cannot be used.") from error


def check_task(tried: Sequence[Tried]) -> str:
    """The planner's task file."""
    configs = set(settings_named(tried, "config").values())
    if not configs:
        raise Skipped("no node plans.")
    files = [task_file(config) for config in configs]
    planned = [
        f"{file} plans {'with' if load_task(file).uses_world_model else 'without'} a world model" for file in files
    ]
    return f"{'; '.join(planned)}."


def check_checkpoint(tried: Sequence[Tried]) -> str:
    """Present, whole, for this program's views, and one for all nodes."""
    loaded = checkpoints(tried)
    if len({checkpoint.sha256 for checkpoint in loaded.values()}) > 1:
        each = ", ".join(f"{label} {one.source} ({one.sha256[:SHOWN]})" for label, one in loaded.items())
        raise FaultError(f"the nodes have different checkpoints: {each}; start all with one.")
    first = next(iter(loaded.values()))
    return f"{first.source} is whole, for views '{first.preprocessing_id}'; sha256 {first.sha256[:SHOWN]}."


def check_model_error(tried: Sequence[Tried]) -> str:
    """A calibration that belongs to the checkpoint and holds for as far as the planner looks."""
    spec = guardrails(tried)
    try:
        tasks = [load_task(task_file(config)) for config in settings_named(tried, "config").values()]
    except ValueError as error:
        raise Skipped("the task file cannot be used.") from error
    with_model = [task for task in tasks if task.uses_world_model]
    if not with_model:
        raise Skipped("the planner uses no world model.")
    sentences = []
    for task in with_model:
        monitor = build_monitor(task, spec)
        if isinstance(monitor, Refusal):
            raise FaultError(f"{task.model_error}: {monitor.reason}.")
        for checkpoint in checkpoints(tried).values():
            if checkpoint.sha256 != monitor.bound.checkpoint_sha256:
                raise FaultError(
                    f"{task.model_error} was made for the checkpoint {monitor.bound.checkpoint_sha256[:SHOWN]}, "
                    f"not for {checkpoint.source} ({checkpoint.sha256[:SHOWN]}); run `ami calibrate model-error`."
                )
        sentences.append(f"{task.model_error} belongs to the checkpoint: {1000 * monitor.bound.bound_m:.1f} mm.")
    return " ".join(sentences)


def checkpoints(tried: Sequence[Tried]) -> dict[str, Checkpoint]:
    """By node. Raises Skipped when none loads one, CheckpointError."""
    folders = settings_named(tried, "checkpoint")
    if not folders:
        raise Skipped("no node loads a checkpoint.")
    return {label: _load(folder) for label, folder in folders.items()}


@cache
def _load(folder: str) -> Checkpoint:
    return load_checkpoint(folder)
