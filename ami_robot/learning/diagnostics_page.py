"""The diagnostics of a checkpoint on held-out episodes as a part of a page for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ami_robot.learning.diagnostics import OFF_M
from ami_robot.learning.prediction import RANKED


def render_diagnostics(report: Mapping[str, Any]) -> str:
    """The figures as sections of a page of Markdown."""
    split, steps = report["split"], report["horizon_steps"]
    seen = "the data it was trained on" if report["trained_on_this_data"] else "data it was not trained on"
    uncertain = report["uncertainty"]
    parts = [
        "## On held-out episodes",
        f"Checkpoint {report['checkpoint_sha256'][:12]} on {seen} ({report['data_sha256'][:12]}). Measured on "
        f"{split['held_out_episodes']} held-out episodes; probes are fitted on the other {split['training_episodes']}. "
        f"The split is that of the training: seed {split['seed']}, fraction {split['held_out_fraction']}. Errors are "
        "mean / 95th percentile, cm.",
        f"Effective rank of the latents: {report['effective_rank']}.",
        "### Prediction",
        _table(
            ("steps", "copy-last", "wrong/true", f"top 1 of {RANKED}", "tool by proprio", "by latent", "moved"),
            [
                (
                    name.removeprefix("step_"),
                    row["copy_last"],
                    row["wrong_over_true_action"],
                    row[f"top_1_of_{RANKED}"],
                    *(_cm(row[key]) for key in ("tool_by_proprio", "tool_by_latent", "tool_moved")),
                )
                for name, row in report["prediction"].items()
            ],
        ),
        "copy-last: below 1 beats saying that nothing changes. wrong/true: above 1 reacts to the action. top 1: how "
        f"often the true actions, among {RANKED}, lead nearest to what came; chance is {1 / RANKED:.3f}.",
        "### What probes read",
        _table(
            ("probe", "tool", "blocks", "blocks while they move"),
            [
                (probe, *(_cm(report["probes"].get(f"{probe}_{what}")) for what in ("tool", "blocks", "moving_blocks")))
                for probe in ("linear", "mlp", "mean")
            ],
        ),
        f"### Encoder or imagination, {steps} steps ahead",
        _table(
            ("what", "windows", "from the encoded frame", "from the imagined one", "moved"),
            [
                (what, row["windows"], *(_cm(row.get(key)) for key in ("encoded", "imagined", "moved")))
                for what, row in report["error_split"].items()
            ],
        ),
        f"Block: windows in which one moves by {OFF_M * 100:g} cm or more.",
        "### Does it know when it does not know?",
        _uncertainty_text(uncertain) if uncertain["windows"] else "No window with contact among the held-out episodes.",
    ]
    return "\n\n".join(parts)


def _uncertainty_text(uncertain: Mapping[str, Any]) -> str:
    area = uncertain["auroc"]
    return (
        f"{uncertain['windows']} windows with contact from {uncertain['episodes']} episodes; in "
        f"{uncertain['base_rate']:.1%} the block is imagined more than {OFF_M * 100:g} cm off at the horizon. AUROC of "
        f"the spread for that: {'none, the model does not say' if area is None else _with_interval(uncertain)}. "
        + _coverage_text(uncertain["coverage"])
    )


def _with_interval(uncertain: Mapping[str, Any]) -> str:
    low, high = uncertain["auroc_interval_95"]
    return f"{uncertain['auroc']} (95 %, by episodes: {low:.2f} to {high:.2f})"


def _coverage_text(covered: Mapping[str, Any] | None) -> str:
    if covered is None:
        return "The episodes with contact are too few to calibrate intervals on half of them."
    low, high = covered["interval_95"]
    return (
        f"Intervals for {covered['nominal']:.0%} hold {covered['held']} of {covered['of']} (95 %: {low:.2f} to "
        f"{high:.2f}), calibrated on {covered['calibrated_on']} other episodes. Calibration curve, promised: held: "
        + ", ".join(f"{float(share):.0%}: {held:.0%}" for share, held in covered["curve"].items())
        + "."
    )


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _cm(error: Mapping[str, float] | None) -> str:
    return f"{error['mean_cm']:.2f} / {error['p95_cm']:.2f}" if error else "-"
