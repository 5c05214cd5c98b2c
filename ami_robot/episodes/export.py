"""A data set of ours as a LeRobotDataset: for tools and policies that read that."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ami_robot.episodes.lerobot import VIDEO, Feature, LeRobotError, LeRobotWriter
from ami_robot.episodes.shards import Episode, EpisodeSet
from ami_robot.types import ACTION_DIM, MODEL_STEP_S, PROPRIO_DIM

FPS = round(1 / MODEL_STEP_S)
NOTES = ("seed", "randomised")  # arrays that say something of an episode as a whole

_XYZ, _XYZW = "xyz", ("x", "y", "z", "w")
_STATE = (
    *(f"tool_{axis}_m" for axis in _XYZ), *(f"tool_v{axis}_m_per_s" for axis in _XYZ),
    *(f"tool_target_{axis}_m" for axis in _XYZ), "gripper_width_m",
)  # fmt: skip
_ACTION = (*(f"d{axis}_m" for axis in _XYZ), "gripper_width_m")
assert len(_STATE) == PROPRIO_DIM and len(_ACTION) == ACTION_DIM


def export_lerobot(
    data: EpisodeSet, out: Path, robot_type: str, joint_names: tuple[str, ...], on_episodes: Callable[[int], None]
) -> None:
    """Write it whole into a folder that is not there yet, or is empty; on_episodes hears how many are done.

    A frame is an observation and the action that follows it; the last observation of an episode has none and is left
    out. Pictures become H.264 and lose a little; everything else is as it was. Raises LeRobotError.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise LeRobotError(f"{out} is not empty; choose a new --out.")
    if "behaviours" not in data.manifest:
        raise LeRobotError(f"{data.folder} was collected before data sets named their behaviours; collect it again.")
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        _write(data, partial, robot_type, joint_names, on_episodes)
        if out.exists():
            out.rmdir()
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write(
    data: EpisodeSet, folder: Path, robot_type: str, joint_names: tuple[str, ...], on_episodes: Callable[[int], None]
) -> None:
    camera = f"observation.images.{data.manifest['preprocessing_id'].partition('-')[0]}"
    writer: LeRobotWriter | None = None
    for shard in data.shards():
        if writer is None:
            writer = LeRobotWriter(folder, FPS, _features(shard, camera, joint_names), robot_type)
        episodes = [{name: values[number] for name, values in shard.items()} for number in range(len(shard["seed"]))]
        tasks = [_task(data, int(episode["behaviour"])) for episode in episodes]
        notes = [{name: episode[name].item() for name in NOTES if name in episode} for episode in episodes]
        writer.add([_frames(episode, camera) for episode in episodes], tasks, notes)
        on_episodes(len(episodes))
    assert writer is not None  # a finished set has an episode
    writer.finish()


def _features(shard: Episode, camera: str, joint_names: tuple[str, ...]) -> dict[str, Feature]:
    blocks = shard["blocks"].shape[2]
    around = [f"block{number}_{axis}_m" for number in range(blocks) for axis in _XYZ]
    if "block_orientations" in shard:
        around += [f"block{number}_q{axis}" for number in range(blocks) for axis in _XYZW]
    features = {
        camera: Feature(VIDEO, shard["images"].shape[2:], ("height", "width", "channels")),
        "observation.state": Feature("float32", (PROPRIO_DIM,), _STATE),
        "observation.joint_positions": Feature("float32", (len(joint_names),), joint_names),
        "observation.environment_state": Feature("float32", (len(around),), tuple(around)),
        "action": Feature("float32", (ACTION_DIM,), _ACTION),
    }
    return features | ({"touching": Feature("bool", (1,))} if "touching" in shard else {})


def _frames(episode: Episode, camera: str) -> dict[str, np.ndarray]:
    steps = len(episode["actions"])
    around = [episode[name] for name in ("blocks", "block_orientations") if name in episode]
    frames = {
        camera: episode["images"],
        "observation.state": episode["proprio"],
        "observation.joint_positions": episode["joint_positions"],
        "observation.environment_state": np.concatenate([values.reshape(steps + 1, -1) for values in around], axis=1),
        "action": episode["actions"],
    } | ({"touching": episode["touching"][:, None]} if "touching" in episode else {})
    return {name: values[:steps] for name, values in frames.items()}


def _task(data: EpisodeSet, behaviour: int) -> str:
    """In words."""
    return str(data.manifest["behaviours"][behaviour]).replace("_", " ")
