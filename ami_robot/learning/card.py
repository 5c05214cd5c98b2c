"""The model card: a page for people, generated from `checkpoint.yaml`, never written by hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ami_robot.perception.checkpoint import read_description, write_description, write_whole

CARD_FILE = "MODEL_CARD.md"


def write_model_card(directory: Path | str) -> Path:
    """Write MODEL_CARD.md beside the checkpoint.yaml that it is generated from; raises CheckpointError."""
    path = Path(directory) / CARD_FILE
    write_whole(path, render_model_card(read_description(directory)).encode())
    return path


def update_model_card(directory: Path | str, planning: Mapping[str, Any]) -> Path:
    """Add closed-loop figures, plain YAML values by name, to those in the checkpoint's record; write the card again."""
    description = read_description(directory)
    description["record"]["planning"] = description["record"].get("planning", {}) | dict(planning)
    write_description(directory, description)
    return write_model_card(directory)


def render_model_card(description: Mapping[str, Any]) -> str:
    """The card as Markdown."""
    record = description["record"]
    metrics, data = record["metrics"], record["data"]
    parts = [
        "# Model card",
        "A small JEPA for a Panda arm over a table, seen by one fixed camera: an encoder (64x64 picture to a latent), "
        "a predictor (latent, proprioception, action to the next ones, 0.2 s later) and a goal head (latent to tool "
        "position). Generated from `checkpoint.yaml`.",
        "## What it is for",
        f"Planning in the simulated table-top scene in pictures `{description['preprocessing_id']}`. Trained on "
        "simulated pictures only. The goal head learnt from the tool positions that the joint angles give; "
        + _who_knows_the_blocks(record),
        "## What it knows, on held-out episodes",
        _goal_table(metrics),
        *([_block_sentence(metrics)] if "block_head" in metrics else []),
        _probe_table(metrics["probes"]),
        _prediction_table(metrics["prediction"]),
        "copy-last: latent error over that of saying that nothing changes, below 1 is better. wrong/true: latent error "
        "under another window's actions over that under the true ones, above 1 reacts to them. tool moved: how far the "
        "tool went, the error of saying that it stays.",
        "## In closed loop",
        _yaml(record["planning"]) if "planning" in record else "Not measured yet.",
        "## How it was made",
        f"Code revision {record['revision']}; SHA-256 of `model.safetensors` {description['model_sha256']}; "
        f"preprocessing `{description['preprocessing_id']}`.",
        f"Data: {data['episodes']} episodes of {data['steps']} steps, content SHA-256 {data['content_sha256']}.",
        _yaml({"data recipe": data["recipe"], "training": record["training"]}),
    ]
    return "\n\n".join(parts) + "\n"


def _goal_table(metrics: Mapping[str, Any]) -> str:
    head = metrics["goal_head"]
    return (
        f"{metrics['held_out_episodes']} episodes, split off by episode. Goal head, tool position from one picture: "
        f"mean {head['mean_cm']:.2f} cm, 95th percentile {head['p95_cm']:.2f} cm. Effective rank of the latents: "
        f"{metrics['effective_rank']:.1f}."
    )


def _who_knows_the_blocks(record: Mapping[str, Any]) -> str:
    if record["training"].get("loss", {}).get("block_position"):
        return "encoder and predictor learnt from the simulator where the block is, and so did the head that says it."
    if "block_head" in record["metrics"]:
        return (
            "where the block is was told by the simulator to the block head and the probes, after the training: it has "
            "no part in the latents, but a head like it needs such labels."
        )
    return "where the blocks are was told to the probes alone, after the training."


def _block_sentence(metrics: Mapping[str, Any]) -> str:
    head = metrics["block_head"]
    return (
        f"Block head, block position from one picture: mean {head['mean_cm']:.2f} cm, 95th percentile "
        f"{head['p95_cm']:.2f} cm."
    )


def _probe_table(probes: Mapping[str, Any]) -> str:
    rows = ["| read out of the latent by | tool mean / p95, cm | blocks mean / p95, cm |", "|---|---|---|"]
    for name, text in (
        ("linear", "ridge regression"),
        ("mlp", "small network"),
        ("mean", "nothing: the mean"),
    ):
        cells = (probes[f"{name}_{what}"] for what in ("tool", "blocks"))
        rows.append(f"| {text} | " + " | ".join(f"{c['mean_cm']:.2f} / {c['p95_cm']:.2f}" for c in cells) + " |")
    return "\n".join(rows)


def _prediction_table(prediction: Mapping[str, Any]) -> str:
    rows = [
        "| steps ahead | copy-last | wrong/true | tool by proprioception, cm | tool by latent, cm | tool moved, cm |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in prediction.items():
        cells = (f"{row[key]['mean_cm']:.2f}" for key in ("tool_by_proprio", "tool_by_latent", "tool_moved"))
        rows.append(
            f"| {name.removeprefix('step_')} | {row['copy_last']:.3f} | {row['wrong_over_true_action']:.1f} | "
            + " | ".join(cells)
            + " |"
        )
    return "\n".join(rows)


def _yaml(values: Any) -> str:
    return "```yaml\n" + yaml.safe_dump(values, sort_keys=False, width=120) + "```"
