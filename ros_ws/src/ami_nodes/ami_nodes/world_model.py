"""The world model as a service: what would these action sequences do?"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from ami_interfaces.srv import PredictOutcomes

from ami_nodes.common import CHECKPOINT, AmiNode, run_node
from ami_nodes.convert import as_array, to_field
from ami_nodes.health import Health, Meter
from ami_robot.perception.checkpoint import load_checkpoint
from ami_robot.types import ACTION_DIM
from ami_robot.world_model.model import LatentWorldModel


class WorldModelNode(AmiNode):
    """predict_outcomes: one belief, N sequences of H actions -> latents and proprioception after each step."""

    PARAMETERS = (CHECKPOINT,)

    def build(self) -> None:
        """Load and verify the checkpoint."""
        self.model = LatentWorldModel(load_checkpoint(self.settings.checkpoint))

        self.predicted = Meter("predicted")

    def start(self) -> list[Any]:
        """Answer from now on."""
        return [self.create_service(PredictOutcomes, "predict_outcomes", self.on_predict)]

    def health(self) -> Health:
        """How many rollouts, and how long one takes."""
        return Health(figures=self.predicted.read())

    def on_predict(
        self, request: PredictOutcomes.Request, response: PredictOutcomes.Response
    ) -> PredictOutcomes.Response:
        """One rollout of the whole batch."""
        try:
            shape = (request.candidates, request.horizon, ACTION_DIM)
            actions = as_array(request.actions, np.float32).reshape(shape)
            with self.predicted.timed():
                outcomes = self.model.predict(
                    as_array(request.image_latent, np.float32), as_array(request.proprio, np.float32), actions
                )
        except ValueError as error:
            response.message = str(error)
            return response
        response.success, response.checkpoint_sha256 = True, self.model.checkpoint_sha256
        response.image_latents = to_field(outcomes.image_latents, "f")
        response.proprio = to_field(outcomes.proprio, "f")
        if outcomes.spread is not None:
            response.spread = to_field(outcomes.spread, "f")
        return response


def main() -> int:
    """Run the node."""
    return run_node("world_model", lambda: WorldModelNode("world_model"))


if __name__ == "__main__":
    sys.exit(main())
