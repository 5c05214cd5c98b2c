"""One task file -> a ready agent."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from ami_robot.actor.analytic import StraightLine, StraightLineSettings
from ami_robot.actor.icem import ICEM, ICEMSettings
from ami_robot.actor.planner import PathMask, Planner
from ami_robot.agent import Agent
from ami_robot.configurator.strict import ConfigError, build, check_keys, read_yaml
from ami_robot.cost.cost import Cost, WeightedSum
from ami_robot.cost.distance import LatentDistance, ToolDistance
from ami_robot.cost.motion import ActionRate
from ami_robot.memory.command_memory import CommandMemory
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.model_error import (
    GUARDRAIL,
    ModelErrorBound,
    ModelErrorError,
    load_model_error,
    unusable_bound,
)
from ami_robot.safety.monitor import Monitor
from ami_robot.safety.spec import Spec
from ami_robot.types import Refusal
from ami_robot.world_model.kinematic import KinematicModel
from ami_robot.world_model.protocol import WorldModel

CHECKPOINTS = Path(__file__).parents[1] / "checkpoints"
REACH = Path(__file__).with_name("reach.yaml")
ANALYTIC = Path(__file__).with_name("analytic.yaml")


@dataclass(frozen=True)
class CostSettings:
    """Weights of the terms, and what shapes them; a term of weight 0 is not computed."""

    running_weight: float
    latent_distance: float
    tool_distance: float
    action_rate: float
    decoded_slack_m: float

    def __post_init__(self) -> None:
        if negative := [f.name for f in fields(self) if getattr(self, f.name) < 0]:
            raise ValueError(f"{', '.join(negative)} must not be negative")
        if self.latent_distance == 0 < self.decoded_slack_m:
            raise ValueError("without latent_distance nothing decides within decoded_slack_m; set that to 0")
        if self.latent_distance == self.tool_distance == 0:
            raise ValueError("latent_distance or tool_distance must have weight, else nothing is pursued")


@dataclass(frozen=True)
class TaskSettings:
    """What a task file says: exactly one planner, and what it needs."""

    icem: ICEMSettings | None = None
    cost: CostSettings | None = None
    straight_line: StraightLineSettings | None = None
    model_error: Path | None = None  # the calibration of the world model's error
    sha256: str = ""  # of the task file's bytes

    @property
    def uses_world_model(self) -> bool:
        """Whether the agent must be given one."""
        return self.icem is not None


def task_file(config: str) -> Path:
    """The file that a name of a shipped task, or a path to a YAML, means."""
    return Path(config) if config.endswith((".yaml", ".yml")) else Path(__file__).with_name(f"{config}.yaml")


def load_task(path: Path) -> TaskSettings:
    """Read a task file.

    Raises:
        ConfigError: one sentence saying what is wrong where, and which keys are valid.
    """
    task = parse_task(read_yaml(path), str(path))
    return replace(task, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def parse_task(data: dict[str, Any], where: str) -> TaskSettings:
    """The same for a mapping that has been read; `where` begins the sentence of a ConfigError."""
    planner = data.get("planner")
    if planner == "icem":
        check_keys(data, {"planner", "icem", "cost", "model_error"}, where)
        if not isinstance(data["model_error"], str):
            raise ConfigError(f"{where}.model_error is {data['model_error']!r}; it must be the name of a file")
        return TaskSettings(
            icem=build(ICEMSettings, data["icem"], f"{where}: icem"),
            cost=build(CostSettings, data["cost"], f"{where}: cost"),
            model_error=CHECKPOINTS / data["model_error"],
        )
    if planner == "straight_line":
        check_keys(data, {"planner", "straight_line"}, where)
        return TaskSettings(straight_line=build(StraightLineSettings, data["straight_line"], f"{where}: straight_line"))
    raise ConfigError(f"{where}: planner is {planner!r}; valid are icem, straight_line")


def build_agent(
    task: TaskSettings,
    spec: Spec,
    kinematics: Kinematics,
    world_model: WorldModel | None = None,
    checkpoint_sha256: str | None = None,
    model_error: ModelErrorBound | None = None,
) -> Agent:
    """Put the parts together.

    Args:
        task: from `load_task`.
        spec: the guardrail file.
        kinematics: of the arm.
        world_model: required where `task.uses_world_model`.
        checkpoint_sha256: what latents must come from; None accepts the first one's.
        model_error: in place of the calibration that the task names. An agent whose model has none refuses to plan.

    Raises:
        ConfigError: the task needs a world model and none is given.
    """
    mask = PathMask(spec, kinematics)
    planner: Planner
    monitor: Monitor | Refusal | None = None
    if task.icem is not None and task.cost is not None:
        if world_model is None:
            raise ConfigError("planner icem imagines with a world model and none was given")
        planner = ICEM(task.icem, mask, world_model, build_cost(task.cost))
        monitor = build_monitor(task, spec, model_error)
    elif task.straight_line is not None:
        world_model = world_model or KinematicModel()
        planner = StraightLine(task.straight_line, mask)
    else:
        raise ConfigError("the task has no planner; valid are icem with cost, straight_line")
    memory = CommandMemory(len(spec.joint_names), spec.staleness.frame_s, spec.staleness.frame_s, checkpoint_sha256)
    return Agent(memory, world_model, planner, spec, mask, monitor)


def build_monitor(task: TaskSettings, spec: Spec, bound: ModelErrorBound | None = None) -> Monitor | Refusal:
    """The watch over the world model's error, or why it cannot be planned with; `bound` is read where not given."""
    assert task.icem is not None and task.model_error is not None  # both come with a world model
    if bound is None:
        try:
            bound = load_model_error(task.model_error)
        except ModelErrorError as error:
            return Refusal(f"the model error is not known: {error}", GUARDRAIL, float("nan"))
    if refusal := unusable_bound(bound, spec, task.icem.horizon + 1):  # and the step that is under way
        return refusal
    return Monitor(bound, int(spec.model_error.window), int(spec.model_error.trips))


def build_cost(settings: CostSettings) -> WeightedSum:
    """The terms that have weight."""
    terms: dict[Cost, float] = {
        LatentDistance(settings.running_weight): settings.latent_distance,
        ToolDistance(settings.running_weight, settings.decoded_slack_m): settings.tool_distance,
        ActionRate(): settings.action_rate,
    }
    return WeightedSum({term: weight for term, weight in terms.items() if weight > 0})
