"""The WorldModel protocol by the service `predict_outcomes`: the planner cannot tell it from a model of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
from ami_interfaces.srv import PredictOutcomes

from ami_nodes.common import result_within
from ami_nodes.convert import as_array, to_field
from ami_robot.types import PROPRIO_DIM, Array, Outcomes


class NoAnswerError(RuntimeError):
    """The world model did not answer in time, or refused; one sentence."""


class WorldModelClient:
    """To be called from a thread outside the executor, which has to be spinning."""

    def __init__(self, node: Any, callback_group: Any, timeout_s: float) -> None:
        self._node = node
        self.client = node.create_client(PredictOutcomes, "predict_outcomes", callback_group=callback_group)
        self.expected_sha256: str | None = None
        """The checkpoint that the latents come from; the answer of a model of another one is refused."""
        self._timeout_s = timeout_s

    def close(self) -> None:
        """Give the service client back."""
        self._node.destroy_client(self.client)

    def predict(self, image_latent: Array, proprio: Array, actions: Array) -> Outcomes:
        """See `WorldModel.predict`. Raises NoAnswerError."""
        candidates, horizon = actions.shape[:2]
        if not self.client.service_is_ready():
            raise NoAnswerError("the world model is not there: is its node active?")
        request = PredictOutcomes.Request(
            image_latent=to_field(image_latent, "f"),
            proprio=to_field(proprio, "f"),
            actions=to_field(actions, "f"),
            candidates=candidates,
            horizon=horizon,
        )
        response = result_within(self.client.call_async(request), self._timeout_s)
        if response is None:
            raise NoAnswerError(f"the world model did not answer within {self._timeout_s} s.")
        if not response.success:
            raise NoAnswerError(f"the world model refused: {response.message}")
        if response.checkpoint_sha256 != (self.expected_sha256 or response.checkpoint_sha256):
            raise NoAnswerError(
                f"the world model has checkpoint {response.checkpoint_sha256[:12]}, the encoder "
                f"{str(self.expected_sha256)[:12]}; start both with one checkpoint."
            )
        spread = as_array(response.spread, np.float32)
        return Outcomes(
            as_array(response.image_latents, np.float32).reshape(candidates, horizon, -1),
            as_array(response.proprio, np.float32).reshape(candidates, horizon, PROPRIO_DIM),
            spread.reshape(candidates, horizon) if spread.size else None,
        )
