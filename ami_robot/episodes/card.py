"""The data-set card: a page for people, beside the manifest, every figure of it computed from the data."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ami_robot.episodes.shards import Episode, EpisodeSet
from ami_robot.types import GRIPPER_WIDTH, MODEL_STEP_S

CARD_FILE = "DATASET_CARD.md"
MOVED_M, LIFTED_M = 0.005, 0.03  # of a block, from where it began
COLUMNS = ("behaviour", "share asked for", "episodes", "moved a block", "touched", "lifted")


def write_dataset_card(data: EpisodeSet, mix: str) -> Path:
    """Write DATASET_CARD.md for a finished set."""
    path = data.folder / CARD_FILE
    path.write_text(render_dataset_card(data, mix))
    return path


def episode_flags(episodes: Episode) -> dict[str, np.ndarray]:
    """What happened in each of E stacked episodes, (E,) bool: a block `moved`, was `lifted`, `touched` if known."""
    way = episodes["blocks"] - episodes["blocks"][:, :1]  # (E, T+1, B, 3), m
    flags = {
        "moved": np.linalg.norm(way, axis=-1).max(axis=(1, 2)) > MOVED_M,
        "lifted": way[..., 2].max(axis=(1, 2)) > LIFTED_M,
    }
    if "touching" in episodes:
        flags["touched"] = episodes["touching"].any(axis=1)
    return flags


def render_dataset_card(data: EpisodeSet, mix: str) -> str:
    """The card as Markdown."""
    recipe, summaries = data.manifest["recipe"], [_summary(shard) for shard in data.shards()]
    of = {name: np.concatenate([summary[name] for summary in summaries]) for name in summaries[0]}
    rows = [_row("all", "", of, np.full(len(of["behaviour"]), True))]
    behaviours = enumerate(data.manifest["behaviours"])
    rows += [_row(name, recipe["mix"][name], of, of["behaviour"] == number) for number, name in behaviours]
    table = "\n".join(["| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|", *rows])
    seconds = recipe["steps"] * MODEL_STEP_S
    randomised = f"{of['randomised'].mean():.0%} of episodes" if "randomised" in of else "none beyond the scenes' own"
    parts = [
        "# Data-set card",
        f"{len(of['seed'])} simulated episodes of {recipe['steps']} steps ({seconds:g} s) of a Panda over a table with "
        "blocks, seen by one camera: pictures, proprioception, actions, joint positions, block positions. Collected "
        "through the guardrail by scripts that know where the blocks are. Written by `ami collect` from the data; "
        "`docs/reference/files.md` says what the arrays are.",
        f"Made by `ami collect --mix {mix} --episodes {recipe['episodes']} --steps {recipe['steps']} --seed "
        f"{recipe['seed']}`; seeds {of['seed'].min()} to {of['seed'].max()}, none of which is evaluated on.",
        "## What happens in it",
        table,
        f"Moved: a block by more than {MOVED_M * 1e3:g} mm. Touched: the arm was in contact with the block at a frame. "
        f"Lifted: a block by more than {LIFTED_M * 1e3:g} mm.",
        f"- colours, light and camera randomised: {randomised}\n"
        f"- steps of the tool target: {of['step_m'].mean() * 1e3:.1f} mm on average, {of['longest_m'].max() * 1e3:.1f} "
        "mm at most\n"
        f"- gripper width: {of['least_width_m'].min() * 1e3:.0f} to {of['greatest_width_m'].max() * 1e3:.0f} mm\n"
        f"- command delay: 0 to {recipe['max_command_delay_s'] * 1e3:g} ms, drawn for each step",
        "## Which bytes",
        f"- content SHA-256 {data.sha256}\n- guardrails SHA-256 {data.manifest['guardrails_sha256']}\n- "
        + ", ".join(f"{name} {version}" for name, version in sorted(data.manifest["versions"].items())),
    ]
    return "\n\n".join(parts) + "\n"


def _summary(shard: Episode) -> dict[str, np.ndarray]:
    """What the card needs of each episode of a shard, (E,) each."""
    lengths_m = np.linalg.norm(shard["actions"][..., :3], axis=-1)
    widths_m = shard["proprio"][..., GRIPPER_WIDTH]
    return {
        **episode_flags(shard),
        **{name: shard[name] for name in ("behaviour", "seed", "randomised") if name in shard},
        "step_m": lengths_m.mean(axis=1),
        "longest_m": lengths_m.max(axis=1),
        "least_width_m": widths_m.min(axis=1),
        "greatest_width_m": widths_m.max(axis=1),
    }


def _row(name: str, share: float | str, of: dict[str, np.ndarray], chosen: np.ndarray) -> str:
    """A line of the table; a dash where there are no episodes, or where it was not recorded."""
    shares = [
        f"{of[flag][chosen].mean():.0%}" if flag in of and chosen.any() else "-"
        for flag in ("moved", "touched", "lifted")
    ]
    return "| " + " | ".join([name, str(share), str(int(chosen.sum())), *shares]) + " |"
