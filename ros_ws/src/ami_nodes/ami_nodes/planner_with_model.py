"""The planner with the world model in its own process: nothing imagined travels, and one process less runs."""

from __future__ import annotations

import sys
from typing import ClassVar

from ami_nodes.common import CHECKPOINT, run_node
from ami_nodes.parameters import Param
from ami_nodes.planner import PlannerNode
from ami_nodes.world_model_client import NoAnswerError
from ami_robot.perception.checkpoint import load_checkpoint
from ami_robot.types import Array, Outcomes
from ami_robot.world_model.model import LatentWorldModel


class OwnWorldModel(LatentWorldModel):
    """In the place of WorldModelClient: a model in this process, of the checkpoint that the latents come from."""

    def __init__(self, checkpoint: str) -> None:
        super().__init__(load_checkpoint(checkpoint))
        self.expected_sha256: str | None = None

    def predict(self, image_latent: Array, proprio: Array, actions: Array) -> Outcomes:
        """See `WorldModel.predict`; every plan begins so. Raises NoAnswerError for latents of another checkpoint."""
        ours, theirs = self.checkpoint_sha256, self.expected_sha256
        if theirs not in (None, ours):
            raise NoAnswerError(
                f"the planner's model has checkpoint {ours[:12]}, the encoder {str(theirs)[:12]}; start both with one."
            )
        return super().predict(image_latent, proprio, actions)

    def close(self) -> None:
        """Nothing to give back."""


class PlannerWithModelNode(PlannerNode):
    """The planner; where its task needs a world model, that is its own."""

    PARAMETERS: ClassVar[tuple[Param, ...]] = (*PlannerNode.PARAMETERS, CHECKPOINT)

    def make_world_model(self) -> OwnWorldModel:
        """Load and verify the checkpoint."""
        return OwnWorldModel(self.settings.checkpoint)


def main() -> int:
    """Run the node."""
    return run_node("planner", lambda: PlannerWithModelNode("planner"), threads=4)


if __name__ == "__main__":
    sys.exit(main())
