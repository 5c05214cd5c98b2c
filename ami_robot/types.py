"""What crosses a border between two parts of the agent: frozen records, shapes and SI units on every field.

Frames: positions of the tool are those of `tool` (the point between the fingertips) in `base_link` (REP 103).
D is the width of the image latent, H the horizon in model steps, N a number of candidates, S of beliefs.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

NS_PER_S = 1_000_000_000

MODEL_STEP_S = 0.2
"""Length of one world-model step, s. One action is held for this long."""

MAX_COMMAND_DELAY_S = 0.06
"""From the frame that a model step begins with to when the step's command is accepted, s. Training data draws it from 0
to this for each step, so a world model, which is not told of it, foretells what comes of half of it."""

ACTION_DIM = 4
"""An action is a displacement of the tool target (dx, dy, dz), m, and a gripper width, m."""

PROPRIO_DIM = 10
"""tool position (3), m; tool velocity (3), m/s; tool target position (3), m; gripper width (1), m."""

TOOL_POSITION = slice(0, 3)
TOOL_VELOCITY = slice(3, 6)
TOOL_TARGET = slice(6, 9)
GRIPPER_WIDTH = slice(9, 10)


@dataclass(frozen=True)
class Observation:
    """What the sensors said at one capture time."""

    stamp_ns: int
    image: NDArray[np.uint8]  # (height, width, 3), rgb
    joint_positions: Array  # (J,), rad
    joint_velocities: Array  # (J,), rad/s
    gripper_width: float  # m


@dataclass(frozen=True)
class Latent:
    """An encoded observation: the image's representation beside the measured proprioception."""

    stamp_ns: int  # capture time of the frame
    image_latent: Array  # (D,)
    tool_position: Array  # (3,), m; measured for an observation, decoded from the image for a goal
    tool_velocity: Array  # (3,), m/s; zero for a goal
    gripper_width: float  # m
    checkpoint_sha256: str
    preprocessing_id: str
    block_position: Array | None = None  # (3,), m; decoded from the image; None: the encoder does not say


@dataclass(frozen=True)
class Belief:
    """What the planner starts from: the latest latent, what was commanded, where the arm is going."""

    stamp_ns: int
    image_latent: Array  # (D,)
    proprio: Array  # (PROPRIO_DIM,), see the slices above
    target_joint_positions: Array  # (J,), rad: where the last accepted command comes to rest


@dataclass(frozen=True)
class Goal:
    """What to bring about: a picture of it, or a position of the tool, of the block, or of both."""

    tool_position: Array | None  # (3,), m; given, or decoded from the picture; None: the hand may be anywhere
    image_latent: Array | None = None  # (D,); None for a pose goal
    way: tuple[Goal, ...] = ()  # to be gone through before, as the frames of a demonstration show it
    block_position: Array | None = None  # (3,), m; given, or decoded from the picture; None: nobody says


@dataclass(frozen=True)
class Outcomes:
    """What a world model says N action sequences would do, after each of their H steps."""

    image_latents: Array  # (N, H, D)
    proprio: Array  # (N, H, PROPRIO_DIM)
    spread: Array | None = None  # (N, H): how unsure it is
    """By how far the block is to be expected off, m, of a model with a head for that (world_model/error_predictor.py);
    else RMS disagreement of several networks in units of the latent; None of a single network."""


@dataclass(frozen=True)
class Plan:
    """A feasible action sequence, the best one seen."""

    actions: Array  # (H, ACTION_DIM)
    joint_path: Array  # (H, 7), rad: the analytic path that was checked against the guardrails
    imagined_tool_path: Array  # (K, 3), m: of the first K steps of actions, K <= H
    cost: float
    cost_terms: dict[str, float]  # the cost's parts by name; they sum to `cost`
    candidates: int  # how many were looked at
    masked: int  # how many of those broke a guardrail and were never imagined
    margin: float  # least normalised guardrail margin of joint_path and imagined_tool_path; 0 at the limit, 1 far off
    iterations: int = 1  # of the search, as many as time allowed
    searched: bool = True  # False: a policy or a formula answered, or there was nothing to choose
    model_error_bound_m: float = float("nan")  # by which margins were widened; NaN: no learned model was used
    checkpoint_sha256: str = ""  # of that model
    spread: float = float("nan")  # the widest of Outcomes.spread along it; NaN: the world model gives none
    novelty: float = float("nan")  # of the latent it starts from, see perception/novelty.py; NaN: nobody asked


@dataclass(frozen=True)
class Refusal:
    """Why there is no plan, or why a command was not let through."""

    reason: str  # one sentence: what, where, what would be right
    guardrail: str  # the row of the guardrail file
    margin: float  # how far beyond the limit, in the row's unit, negative when broken; NaN when it has no measure


@dataclass(frozen=True)
class JointState:
    """Position, velocity and acceleration of the joints at one instant."""

    positions: Array  # (J,), rad
    velocities: Array  # (J,), rad/s
    accelerations: Array  # (J,), rad/s^2


@dataclass(frozen=True)
class JointTrajectory:
    """Control points that end at rest. Between them: quintic splines through position, velocity and acceleration."""

    joint_names: tuple[str, ...]
    times_s: Array  # (K,), s from the start of the motion, strictly increasing, > 0
    positions: Array  # (K, 7), rad
    velocities: Array  # (K, 7), rad/s; the last row is zero
    accelerations: Array  # (K, 7), rad/s^2; the last row is zero


@dataclass(frozen=True)
class Person:
    """A person, or a limb of one: a capsule in base_link."""

    end_a: Array  # (3,), m: one end of the capsule's axis
    end_b: Array  # (3,), m
    radius: float  # m
    velocity: Array  # (3,), m/s; told for people's eyes, the guardrails reckon with the greatest speed
    radius_error: float  # m: by how much position and radius may be wrong


@dataclass(frozen=True)
class People:
    """Everybody near the arm at one time. Empty says that nobody is there; no message says nothing."""

    stamp_ns: int
    persons: tuple[Person, ...]


@dataclass(frozen=True)
class HeldTool:
    """What the gripper holds."""

    stamp_ns: int
    hazard: str  # none | blunt | edge | point; anything else counts as point
    tip: Array  # (3,), m, from the tool point, in the frame of `tool`; its direction is the tool's
    mass_kg: float = 0.0


@dataclass(frozen=True)
class Proposal:
    """A command that somebody would like the arm to follow. Exactly one of displacement and trajectory is set."""

    source: str
    sequence: int
    stamp_ns: int
    observation_stamp_ns: int  # capture time of the frame it was planned from
    valid_for_s: float
    gripper_width: float  # m
    tool_displacement: Array | None = None  # (3,), m, added to the present tool target
    trajectory: JointTrajectory | None = None
    model_error_bound_m: float = float("nan")  # conformal, of the model that planned it; NaN: no model was used
    checkpoint_sha256: str = ""  # of that model


@dataclass(frozen=True)
class GuardrailReport:
    """What the guardrail did with a proposal, or by itself, and how close the sent motion comes to each limit."""

    stamp_ns: int
    decision: str  # accepted | modified | refused | brake | status
    armed: bool
    source: str
    proposal_sequence: int
    observation_stamp_ns: int
    sequence: int  # of the sent trajectory; 0 when nothing was sent
    sent: JointTrajectory | None
    target_joint_positions: Array  # (J,), rad: where the arm will come to rest
    target_tool_position: Array  # (3,), m
    gripper_width: float  # m
    refusal: Refusal | None
    margins: dict[str, float] = field(default_factory=dict)  # row -> least margin in the row's unit
    spec_sha256: str = ""
    model_error_bound_m: float = float("nan")  # these two of the proposal
    checkpoint_sha256: str = ""
    people: People | None = None  # what the decision was taken on; None: nothing was heard, or nobody is asked
    held_tool: HeldTool | None = None
    e_stopped: bool = False
