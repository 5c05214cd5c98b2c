import subprocess
import sys

import numpy as np
import pytest
import torch

from ami_robot.perception.checkpoint import Checkpoint
from ami_robot.world_model.mlp import MLPConfig
from ami_robot.world_model.model import LatentWorldModel
from ami_robot.world_model.predictor import Predictor

LATENT, SIZES = 16, MLPConfig(32, 2)


@pytest.fixture
def predictor():
    torch.manual_seed(0)
    module = Predictor(SIZES, LATENT).eval()
    output = module.networks[0].output
    for tensor in (output.weight, output.bias, module.proprio_mean, module.action_mean):
        torch.nn.init.normal_(tensor, std=0.1)
    for tensor in (module.proprio_std, module.action_std):
        torch.nn.init.uniform_(tensor, 0.05, 0.2)
    return module


@pytest.fixture
def model(predictor):
    tensors = {f"predictor.{key}": tensor for key, tensor in predictor.state_dict().items()}
    sizes = {"latent_dim": LATENT, "channels": [8, 8, 8, 8], "hidden": 32, "head_hidden": 32}
    config = {"encoder": sizes, "predictor": {"width": 32, "blocks": 2}}
    return LatentWorldModel(Checkpoint(tensors, config, "0" * 64, "test"))


def inputs(candidates=5, horizon=3):
    rng = np.random.default_rng(0)
    return rng.normal(size=LATENT), rng.normal(size=10), 0.04 * rng.normal(size=(candidates, horizon, 4))


def test_a_prediction_is_the_predictor_applied_step_by_step(model, predictor):
    latent, proprio, actions = inputs()
    outcomes = model.predict(latent, proprio, actions)
    assert outcomes.image_latents.shape == (5, 3, LATENT) and outcomes.proprio.shape == (5, 3, 10)
    assert outcomes.image_latents.dtype == outcomes.proprio.dtype == np.float32
    normalised = (torch.tensor(proprio).float() - predictor.proprio_mean) / predictor.proprio_std
    for candidate in range(5):
        state = torch.cat([torch.tensor(latent).float(), normalised])[None]
        for step in range(3):
            action = torch.tensor(actions[candidate, step]).float()[None]
            state = predictor.networks[0](state, (action - predictor.action_mean) / predictor.action_std)
            found = state[0].detach()
            np.testing.assert_allclose(outcomes.image_latents[candidate, step], found[:LATENT], atol=1e-5)
            expected = found[LATENT:] * predictor.proprio_std + predictor.proprio_mean
            np.testing.assert_allclose(outcomes.proprio[candidate, step], expected, atol=1e-5)


def test_a_candidate_is_imagined_alike_alone_and_among_others(model):
    latent, proprio, actions = inputs()
    together, alone = model.predict(latent, proprio, actions), model.predict(latent, proprio, actions[3:4])
    np.testing.assert_allclose(together.image_latents[3], alone.image_latents[0], atol=1e-5)


def test_the_number_of_candidates_does_not_take_memory_for_good():
    """The planner asks for as many as are allowed: oneDNN keeps something for each size that it is given."""
    program = (
        "import numpy as np, resource\n"
        "from ami_robot.perception.checkpoint import load_checkpoint\n"
        "from ami_robot.types import ACTION_DIM, PROPRIO_DIM\n"
        "from ami_robot.world_model.model import LatentWorldModel\n"
        "model = LatentWorldModel(load_checkpoint(None))\n"
        "latent, proprio = np.zeros(model.latent_dim), np.zeros(PROPRIO_DIM)\n"
        "def peak_mb(sizes):\n"
        "    for size in sizes:\n"
        "        assert len(model.predict(latent, proprio, np.zeros((size, 6, ACTION_DIM))).proprio) == size\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
        "before = peak_mb([128] * 3)\n"
        "print(peak_mb(range(1, 129)) - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert float(done.stdout) < 30.0, "MB"


def test_before_training_nothing_changes():
    latent, proprio, actions = (torch.tensor(x).float() for x in inputs())
    rollouts = Predictor(SIZES, LATENT).rollouts(latent.expand(5, -1), proprio.expand(5, -1), actions)
    latents, predicted = rollouts.most_likely()
    assert (latents == latent).all()
    torch.testing.assert_close(predicted, proprio.expand_as(predicted))


def test_a_belief_that_is_not_finite_gives_no_finite_outcome(model):
    latent, proprio, actions = inputs()
    proprio[2] = np.nan
    outcomes = model.predict(latent, proprio, actions)
    assert np.isnan(outcomes.image_latents).all() and np.isnan(outcomes.proprio).all()


@pytest.mark.parametrize(("argument", "shape"), [(0, (3,)), (1, (9,)), (2, (5, 4)), (2, (5, 3, 3))])
def test_a_wrong_shape_is_refused_in_a_sentence(model, argument, shape):
    arguments = list(inputs())
    arguments[argument] = np.zeros(shape)
    with pytest.raises(ValueError, match="the world model takes"):
        model.predict(*arguments)
