"""Whether predictions beat a copy of the present, and whether they react to the action."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ami_robot.learning.latents import LatentEpisodes
from ami_robot.learning.probes import distances
from ami_robot.learning.windows import Foreseen, Windows
from ami_robot.types import TOOL_POSITION
from ami_robot.world_model.predictor import Predictor

RANKED = 16
"""Action sequences among which the true one is looked for; by chance it is found once in so many times."""


def reported_steps(steps: int) -> list[int]:
    """1, half of `steps`, `steps`."""
    return sorted({1, max(1, steps // 2), steps})


@torch.inference_mode()
def prediction_report(
    predictor: Predictor, goal_head: nn.Module, held_out: LatentEpisodes, steps: int, seed: int, windows: int = 2048
) -> dict[str, dict[str, object]]:
    """How well the predictor imagines, after 1, steps / 2 and `steps` steps.

    copy_last: latent error over that of saying that nothing changes (< 1 is better than copying).
    wrong_over_true_action: latent error with another window's actions over that with the true ones (> 1 reacts).
    tool_*: error of the imagined tool position, from the imagined proprioception and from the imagined picture latent.
    """
    predictor.eval()
    drawn = Windows.drawn(held_out, steps, windows, seed)
    imagined, misled = drawn.imagined(predictor), drawn.imagined(predictor, others=1)
    decoded = goal_head(imagined.latents)
    report: dict[str, dict[str, object]] = {}
    for step in reported_steps(steps):
        reached, truth = drawn.latents[:, step], drawn.tool_position[:, step]
        error = (imagined.latents[:, step - 1] - reached).square().mean()
        misled_error = (misled.latents[:, step - 1] - reached).square().mean()
        report[f"step_{step}"] = {
            "copy_last": round(float(error / (drawn.latents[:, 0] - reached).square().mean()), 4),
            "wrong_over_true_action": round(float(misled_error / error), 3),
            "tool_by_proprio": distances(imagined.proprio[:, step - 1, TOOL_POSITION], truth),
            "tool_by_latent": distances(decoded[:, step - 1], truth),
            "tool_moved": distances(drawn.tool_position[:, 0], truth),
        }
    return report


def top_1(predictor: Predictor, windows: Windows) -> dict[str, float]:
    """How often, after as many steps, the latent imagined under the true actions is nearest to the one reached.

    The others are imagined from the same start under the actions of RANKED - 1 other windows. Equally near ones share
    the point, so that a model that ignores the action finds the true one as often as chance does.
    """
    errors = torch.stack([_errors(windows.imagined(predictor, others), windows) for others in range(RANKED)])
    nearest = (errors == errors.amin(0)).float()  # (RANKED, W, H)
    share = (nearest[0] / nearest.sum(0)).mean(0)
    return {f"step_{step}": round(float(share[step - 1]), 4) for step in reported_steps(len(share))}


def _errors(imagined: Foreseen, windows: Windows) -> Tensor:
    """(W, H): mean-squared, over the latent dimensions."""
    return (imagined.latents - windows.latents[:, 1:]).square().mean(-1)
