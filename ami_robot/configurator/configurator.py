"""One task file -> a ready agent."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ami_robot.actor.analytic import StraightLine, StraightLineSettings
from ami_robot.actor.arrival import Arrival, ArrivalSettings
from ami_robot.actor.caution import Caution, CautionSettings
from ami_robot.actor.contacts import Contacts, ContactSettings
from ami_robot.actor.gradient import Gradient, GradientSettings
from ami_robot.actor.icem import ICEM, ICEMSettings
from ami_robot.actor.imagination import Imagination
from ami_robot.actor.mode_switch import ModeSwitch
from ami_robot.actor.mppi import MPPI, MPPISettings
from ami_robot.actor.planner import PathMask, Planner
from ami_robot.actor.policy import Policy, PolicySettings
from ami_robot.agent import Agent
from ami_robot.cost.block import BlockDistance
from ami_robot.cost.cost import Cost, WeightedSum
from ami_robot.cost.distance import LatentDistance, ToolDistance
from ami_robot.cost.motion import ActionRate
from ami_robot.cost.spread import Spread
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
from ami_robot.strict import StrictError, check_keys, read, read_yaml
from ami_robot.types import Refusal
from ami_robot.world_model.kinematic import KinematicModel
from ami_robot.world_model.protocol import LocalWorldModel, WorldModel

if TYPE_CHECKING:
    from ami_robot.actor.policy_network import Taught
    from ami_robot.perception.block_head import BlockHead

CHECKPOINTS = Path(__file__).parents[1] / "checkpoints"
REACH = Path(__file__).with_name("reach.yaml")
ANALYTIC = Path(__file__).with_name("analytic.yaml")
LEARNED = {
    "icem": ICEMSettings,
    "mppi": MPPISettings,
    "gradient": GradientSettings,
    "contacts": ContactSettings,
    "policy": PolicySettings,
}
"""The planners that imagine with a world model, by their name in a task file."""


class ConfigError(ValueError):
    """A task that no agent can be built from; the message is one sentence for its author."""


@dataclass(frozen=True)
class CostSettings:
    """Weights of the terms, and what shapes them; a term of weight 0 is not computed."""

    running_weight: float
    latent_distance: float
    tool_distance: float
    action_rate: float
    decoded_slack_m: float
    spread: float = 0.0
    block_distance: float = 0.0

    def __post_init__(self) -> None:
        if self.latent_distance == 0 < self.decoded_slack_m:
            raise ValueError("without latent_distance nothing decides within decoded_slack_m; set that to 0")
        if self.latent_distance == self.tool_distance == self.block_distance == 0:
            raise ValueError(
                "one of latent_distance, tool_distance, block_distance must have weight, else nothing is pursued"
            )


@dataclass(frozen=True)
class TaskSettings:
    """What a task file says: exactly one planner, and what it needs."""

    icem: ICEMSettings | None = None
    mppi: MPPISettings | None = None
    gradient: GradientSettings | None = None
    contacts: ContactSettings | None = None
    policy: PolicySettings | None = None  # alone, or beside a search that it guides
    cost: CostSettings | None = None
    caution: CautionSettings | None = None
    arrival: ArrivalSettings | None = None
    straight_line: StraightLineSettings | None = None
    block_head: str = ""  # checkpoint whose head says where the block is, below ami_robot/checkpoints or a whole path
    model_error: Path | None = None  # the calibration of the world model's error
    sha256: str = ""  # of the task file's bytes

    @property
    def search(self) -> ICEMSettings | MPPISettings | GradientSettings | ContactSettings | None:
        """Of the planner that searches, if one does."""
        return self.icem or self.mppi or self.gradient or self.contacts

    @property
    def uses_world_model(self) -> bool:
        """Whether the agent must be given one."""
        return self.search is not None or self.policy is not None

    @property
    def judged_steps(self) -> int:
        """Model steps whose imagined tool positions the guardrails judge: for so many its error has to be bounded."""
        if self.contacts is not None:
            return self.contacts.judged_steps
        settings = self.search or self.policy
        assert settings is not None  # asked of what uses a world model
        return settings.horizon


def task_file(config: str) -> Path:
    """The file that a name of a shipped task, or a path to a YAML, means."""
    return Path(config) if config.endswith((".yaml", ".yml")) else Path(__file__).with_name(f"{config}.yaml")


def load_task(path: Path) -> TaskSettings:
    """Read a task file.

    Raises:
        StrictError: one sentence saying what is wrong where, and which keys are known.
    """
    task = parse_task(read_yaml(path), str(path))
    return replace(task, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def parse_task(data: dict[str, Any], where: str) -> TaskSettings:
    """The same for a mapping that has been read; `where` begins the sentence of a StrictError."""
    planner = data.get("planner")
    if planner == "straight_line":
        check_keys(data, ("planner", "straight_line"), where)
        return TaskSettings(straight_line=read(data["straight_line"], StraightLineSettings, f"{where}: straight_line"))
    if planner not in LEARNED:
        raise StrictError(f"{where}: planner is {planner!r}; known are {', '.join(LEARNED)}, straight_line.")
    optional = [name for name in ("policy", "caution", "arrival", "block_head") if name != planner]
    check_keys(data, dict.fromkeys(("planner", planner, "cost", "model_error", *optional)), where, optional)
    for name in ("model_error", "block_head"):
        if not isinstance(data.get(name, ""), str):
            raise StrictError(f"{where}: {name} has to be a name or a path, got {data[name]!r}.")
    kinds: dict[str, type] = {**LEARNED, "cost": CostSettings, "caution": CautionSettings, "arrival": ArrivalSettings}
    sections: dict[str, Any] = {
        key: read(data[key], kind, f"{where}: {key}") for key, kind in kinds.items() if key in data
    }
    task = TaskSettings(
        **sections, model_error=CHECKPOINTS / data["model_error"], block_head=data.get("block_head", "")
    )
    if task.policy is not None and task.policy.residual and planner in ("gradient", "contacts"):
        raise StrictError(f"{where}: policy.residual is for icem and mppi; {planner} tries proposals alone.")
    assert task.cost is not None  # comes with a world model
    measured = task.cost.block_distance or (task.arrival and task.arrival.block_distance_m)
    if not task.block_head and (measured or task.contacts):
        what = "a distance of the block" if measured else "contacts"
        raise StrictError(f"{where}: {what} needs block_head, a checkpoint that says where it is.")
    return task


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
    monitor: Monitor | Refusal | None = None
    if task.uses_world_model:
        if world_model is None:
            raise ConfigError("a planner that imagines needs a world model and none was given")
        planner, cost, checkpoint_sha256 = build_planner(task, mask, world_model, checkpoint_sha256)
        monitor = build_monitor(task, spec, model_error)
    elif task.straight_line is not None:
        world_model = world_model or KinematicModel()
        planner = StraightLine(task.straight_line, mask)
        cost = WeightedSum({ToolDistance(running_weight=0.0, decoded_slack_m=0.0): 1.0})
    else:
        raise ConfigError(f"the task has no planner; valid are {', '.join(LEARNED)} with cost, straight_line")
    memory = CommandMemory(len(spec.joint_names), spec.staleness.frame_s, spec.staleness.frame_s, checkpoint_sha256)
    return Agent(memory, world_model, planner, cost, spec, mask, monitor)


def build_planner(
    task: TaskSettings, mask: PathMask, world_model: WorldModel, checkpoint_sha256: str | None = None
) -> tuple[Planner, WeightedSum, str | None]:
    """The planner of a task with a world model, its cost, and the checkpoint that latents must be of, if that matters.

    Raises:
        ConfigError: a policy or the gradient planner is to imagine with a world model that is not in this process.
        CheckpointError: the folder of policy or block head cannot be used, or is for the latents of another encoder.
    """
    assert task.cost is not None  # comes with a world model
    block_head = None
    if task.block_head:
        block_head = _block_head(task.block_head, checkpoint_sha256)
        checkpoint_sha256 = block_head.checkpoint_sha256
    cost = build_cost(task.cost, block_head)
    max_spread = np.inf if task.caution is None else task.caution.max_spread
    parts = (mask, world_model, cost)
    policy: Policy | None = None
    if task.policy is not None:
        taught = _taught(task.policy.checkpoint, checkpoint_sha256)
        checkpoint_sha256 = taught.encoder_sha256
        policy = Policy(task.policy, taught.network, mask, _local(world_model), cost, max_spread)
    guide = policy if policy is not None and (policy.residual or policy.settings.proposals) else None
    planner: Planner
    if task.icem is not None:
        planner = ICEM(task.icem, *parts, guide, max_spread)
    elif task.mppi is not None:
        planner = MPPI(task.mppi, *parts, guide, max_spread)
    elif task.gradient is not None:
        planner = Gradient(task.gradient, mask, _local(world_model), cost, guide, max_spread)
    elif task.contacts is not None:
        assert block_head is not None  # parse_task asks for it
        imagination = Imagination(*parts, max_spread, task.contacts.judged_steps)
        planner = Contacts(task.contacts, imagination, block_head, guide)
    else:
        assert policy is not None  # else nothing would need a world model
        planner = policy
    if policy is not None and planner is not policy and policy.settings.alone_below_quantile > 0:
        planner = ModeSwitch(policy, planner, taught.novelty)
    if task.caution is not None:
        taught = _taught(task.caution.checkpoint, checkpoint_sha256)
        checkpoint_sha256 = taught.encoder_sha256
        planner = Caution(task.caution, planner, mask, taught.novelty)
    if task.arrival is not None:
        planner = Arrival(task.arrival, planner, Imagination(*parts, max_spread), block_head)
    return planner, cost, checkpoint_sha256


def _local(world_model: WorldModel) -> LocalWorldModel:
    if not isinstance(world_model, LocalWorldModel):
        raise ConfigError("a policy and planner gradient need the world model in their own process (composed:=true)")
    return world_model


def _taught(name: str, encoder_sha256: str | None) -> Taught:
    """What `ami train-policy` left; torch is loaded only where there is such a thing."""
    from ami_robot.actor.policy_network import load_policy

    return load_policy(CHECKPOINTS / name, encoder_sha256)


def _block_head(name: str, encoder_sha256: str | None) -> BlockHead:
    from ami_robot.perception.block_head import read_block_head

    return read_block_head(CHECKPOINTS / name, encoder_sha256)


def build_monitor(task: TaskSettings, spec: Spec, bound: ModelErrorBound | None = None) -> Monitor | Refusal:
    """The watch over the world model's error, or why it cannot be planned with; `bound` is read where not given."""
    assert task.model_error is not None  # comes with a world model
    if bound is None:
        try:
            bound = load_model_error(task.model_error)
        except ModelErrorError as error:
            return Refusal(f"the model error is not known: {error}", GUARDRAIL, float("nan"))
    if refusal := unusable_bound(bound, spec, task.judged_steps + 1):  # and the step that is under way
        return refusal
    return Monitor(bound, int(spec.model_error.window), int(spec.model_error.trips))


def build_cost(settings: CostSettings, block_head: BlockHead | None = None) -> WeightedSum:
    """The terms that have weight; `block_head` is needed where block_distance has."""
    terms: dict[Cost, float] = {
        LatentDistance(settings.running_weight): settings.latent_distance,
        ToolDistance(settings.running_weight, settings.decoded_slack_m): settings.tool_distance,
        ActionRate(): settings.action_rate,
        Spread(settings.running_weight): settings.spread,
    }
    if block_head is not None:
        terms[BlockDistance(settings.running_weight, block_head)] = settings.block_distance
    return WeightedSum({term: weight for term, weight in terms.items() if weight > 0})
