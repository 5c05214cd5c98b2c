"""What the world model answers over the wire is what it would answer in the planner's own process."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from ami_nodes.health import Meter
from ami_nodes.world_model import WorldModelNode
from ami_nodes.world_model_client import WorldModelClient
from ami_robot.perception.checkpoint import load_checkpoint
from ami_robot.world_model.model import LatentWorldModel
from tests.untrained import untrained_checkpoint

LATENT_DIM, SEQUENCES, STEPS = 32, 5, 4


@pytest.mark.parametrize("members", [1, 3])
def test_latents_proprioception_and_spread_come_over_the_wire(tmp_path, client, members):
    from ami_interfaces.srv import PredictOutcomes

    model = LatentWorldModel(load_checkpoint(untrained_checkpoint(tmp_path, LATENT_DIM, members)))
    rng = np.random.default_rng(0)
    latent, proprio = rng.normal(size=LATENT_DIM), rng.normal(size=10)
    actions = rng.normal(size=(SEQUENCES, STEPS, 4)) * 0.02
    asked = [values.astype(np.float32) for values in (latent, proprio, actions)]
    serving = SimpleNamespace(model=model, predicted=Meter("predicted"))
    service = client.node.create_service(
        PredictOutcomes, "predict_outcomes", partial(WorldModelNode.on_predict, serving)
    )
    remote = WorldModelClient(client.node, None, timeout_s=10.0)
    try:
        assert remote.client.wait_for_service(10.0)
        answer, own = remote.predict(*asked), model.predict(*asked)
    finally:
        remote.close()
        client.node.destroy_service(service)
    np.testing.assert_array_equal(answer.image_latents, own.image_latents)
    np.testing.assert_array_equal(answer.proprio, own.proprio)
    assert (answer.spread is None) == (own.spread is None) == (members == 1)
    if own.spread is not None:
        assert answer.spread.shape == (SEQUENCES, STEPS) and own.spread.min() > 0.0
        np.testing.assert_array_equal(answer.spread, own.spread)
