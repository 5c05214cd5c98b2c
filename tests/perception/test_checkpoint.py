import hashlib

import numpy as np
import pytest
import torch
import yaml

from ami_robot.perception.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from ami_robot.perception.conv import ConvConfig
from ami_robot.perception.encoder import EncoderConfig, GoalHead, ImageEncoder, normalise_pictures
from ami_robot.world_model.mlp import MLPConfig
from ami_robot.world_model.model import LatentWorldModel
from ami_robot.world_model.predictor import Predictor, PredictorConfig

ENCODER, PREDICTOR = ConvConfig(16, (8, 8, 8, 8), 32, 32), MLPConfig(32, 1)


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    modules = {"encoder": ENCODER.build(), "goal_head": GoalHead(ENCODER), "predictor": Predictor(PREDICTOR, 16)}
    save_checkpoint(tmp_path, modules, {"encoder": ENCODER, "predictor": PREDICTOR}, {"revision": "test"})
    return tmp_path


def redescribe(folder, **changes):
    path = folder / "checkpoint.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **changes}))


def test_what_was_saved_is_what_is_loaded(folder):
    checkpoint = load_checkpoint(folder)
    assert checkpoint.sha256 == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert checkpoint.sizes("encoder", EncoderConfig) == ENCODER
    assert checkpoint.sizes("predictor", PredictorConfig) == PREDICTOR
    torch.manual_seed(0)
    original = ENCODER.build().eval()
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    with torch.inference_mode():
        expected = original(normalise_pictures(torch.from_numpy(image)[None]))[0].numpy()
    encoder = ImageEncoder(checkpoint)
    assert (encoder.encode(image) == expected).all() and expected.dtype == np.float32
    assert encoder.decode_tool_position(expected).shape == (3,)
    assert sorted(entry.name for entry in folder.iterdir()) == ["checkpoint.yaml", "model.safetensors"]


def test_one_altered_byte_is_refused(folder):
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="altered or cut short"):
        load_checkpoint(folder)


def test_a_truncated_file_is_refused(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="altered or cut short"):
        load_checkpoint(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "checkpoint.yaml"])
def test_a_missing_file_is_refused(folder, name):
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=rf"cannot read .*{name}"):
        load_checkpoint(folder)


def test_a_pickle_is_refused_even_with_its_right_hash(folder):
    torch.save({"encoder": torch.zeros(1)}, folder / "model.safetensors")
    content = (folder / "model.safetensors").read_bytes()
    redescribe(folder, model_sha256=hashlib.sha256(content).hexdigest())
    with pytest.raises(CheckpointError, match="is not a safetensors file"):
        load_checkpoint(folder)


def test_another_preprocessing_is_refused(folder):
    redescribe(folder, preprocessing_id="wrist-96")
    with pytest.raises(CheckpointError, match="there is no view 'wrist-96'"):
        load_checkpoint(folder)


def test_a_description_with_another_key_is_refused(folder):
    redescribe(folder, comment="x")
    with pytest.raises(CheckpointError, match="unknown keys comment; known are model_sha256"):
        load_checkpoint(folder)


def test_a_description_that_is_not_yaml_is_refused(folder):
    (folder / "checkpoint.yaml").write_text("a: [")
    with pytest.raises(CheckpointError, match="is not YAML"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"encoder": {"latent_dim": 16}, "predictor": {"width": 32, "blocks": 1}}, "no usable sizes of the encoder"),
        ({"predictor": {"width": 32, "blocks": 1}}, "no usable sizes of the encoder"),
    ],
)
def test_a_description_without_sizes_is_refused(folder, config, sentence):
    redescribe(folder, config=config)
    with pytest.raises(CheckpointError, match=sentence):
        ImageEncoder(load_checkpoint(folder))


def test_sizes_that_do_not_fit_the_tensors_are_refused(folder):
    config = load_checkpoint(folder).config
    redescribe(folder, config={**config, "predictor": {"width": 64, "blocks": 1}})
    with pytest.raises(CheckpointError, match=r"tensors of 'predictor' .* do not fit"):
        LatentWorldModel(load_checkpoint(folder))


@pytest.mark.parametrize("shape", [(64, 64), (128, 128, 3), (3, 64, 64)])
def test_the_encoder_takes_nothing_but_a_training_view(folder, shape):
    with pytest.raises(ValueError, match="takes a"):
        ImageEncoder(load_checkpoint(folder)).encode(np.zeros(shape, np.uint8))
