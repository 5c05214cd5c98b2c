"""With tiny random-weight models, written to a folder as those of the hub are: nothing is fetched."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from disc_world import PROVENANCE, disc_arrays

from ami_robot.cli.main import main
from ami_robot.episodes.shards import content_sha256, write_manifest, write_shard
from ami_robot.learning.config import HeadConfig
from ami_robot.learning.dataset import Episodes
from ami_robot.learning.fit_backbone import BackboneSizes, FitConfig, fit_backbone, load_fit_config
from ami_robot.learning.train import train
from ami_robot.perception.backbone import BackboneConfig, folder_sha256
from ami_robot.perception.checkpoint import CheckpointError, load_checkpoint
from ami_robot.perception.encoder import ImageEncoder, normalise_pictures
from ami_robot.strict import StrictError, plain
from ami_robot.world_model.model import LatentWorldModel

CONFIG = FitConfig(0, 0.2, 400, BackboneSizes(64, 4, 24, 32), HeadConfig(300, 64, 0.003, 0.001))


@pytest.fixture(scope="module")
def transformers():
    return pytest.importorskip("transformers", reason="needs the extra 'backbone': pip install -e .[backbone]")


@pytest.fixture(scope="module", params=["dinov2", "vjepa2"])
def folder(request, transformers, tmp_path_factory):
    torch.manual_seed(0)
    sizes = {"hidden_size": 36, "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 8}
    if request.param == "dinov2":
        model = transformers.Dinov2Model(transformers.Dinov2Config(image_size=32, mlp_ratio=2, **sizes))
    else:
        predictor = {f"pred_{name}": value for name, value in sizes.items() if name != "patch_size"}
        model = transformers.VJEPA2Model(
            transformers.VJEPA2Config(crop_size=64, frames_per_clip=4, mlp_ratio=2.0, **sizes, **predictor)
        )
    path = tmp_path_factory.mktemp(request.param)
    model.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def fitted(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("fitted")
    episodes = Episodes.from_arrays(disc_arrays(60, 9, seed=3))
    return fit_backbone(episodes, folder, CONFIG, PROVENANCE, out), out


@pytest.fixture(scope="module")
def backbone(folder):
    return BackboneConfig(str(folder), folder_sha256(folder), 64, 4, 24, 32)


def test_the_image_encoder_takes_such_a_checkpoint_as_any_other(fitted):
    encoder = ImageEncoder(load_checkpoint(fitted[1]))
    fresh = disc_arrays(4, 6, seed=77)
    latents = [encoder.encode(image) for image in fresh["images"].reshape(-1, 64, 64, 3)]
    assert encoder.latent_dim == 24 and all(z.shape == (24,) and z.dtype == np.float32 for z in latents)
    found = np.array([encoder.decode_tool_position(latent) for latent in latents])
    truth = fresh["proprio"].reshape(-1, 10)[:, :3]
    guess = np.linalg.norm(truth - truth.mean(0), axis=1).mean()  # of whoever does not look
    assert np.linalg.norm(found - truth, axis=1).mean() < 0.7 * guess
    with pytest.raises(ValueError, match="takes a"):
        encoder.encode(np.zeros((32, 32, 3), np.uint8))


def test_the_checkpoint_holds_projection_and_head_and_says_which_backbone_but_not_its_weights(fitted, folder):
    checkpoint, _ = fitted
    own = {name for name in checkpoint.tensors if name.startswith("encoder.")}
    assert own == {"encoder.mean", "encoder.directions"}
    assert checkpoint.config["encoder"]["folder"] == str(folder)
    assert checkpoint.config["encoder"]["sha256"] == folder_sha256(folder)
    metrics = checkpoint.record["metrics"]
    assert 0.3 < metrics["variance_kept"] <= 1 and metrics["effective_rank"] > 2


@torch.inference_mode()
def test_a_cell_is_the_mean_of_its_patches(backbone, transformers):
    encoder = backbone.build()
    torch.manual_seed(1)
    pictures = normalise_pictures(torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8))
    model = transformers.AutoModel.from_pretrained(backbone.folder, local_files_only=True).eval()
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    inputs = ((pictures.permute(0, 2, 3, 1) + 0.5 - mean) / std).permute(0, 3, 1, 2)  # at its own size: not enlarged
    if model.config.model_type == "vjepa2":
        tokens = model.get_vision_features(torch.stack([inputs, inputs], dim=1))
    else:
        tokens = model(pixel_values=inputs).last_hidden_state[:, 1:]  # less the class token
    patches = tokens.reshape(2, 8, 8, 36)
    cells = encoder.features(pictures).reshape(2, 36, 4, 4)
    torch.testing.assert_close(cells[:, :, 1, 3], patches[:, 2:4, 6:8].mean((1, 2)), atol=1e-4, rtol=1e-3)


def test_the_projection_is_on_the_principal_components(backbone):
    encoder = backbone.build()
    torch.manual_seed(0)
    features = torch.randn(200, 36 * 16) * torch.linspace(3, 0.01, 36 * 16) ** 2 + 5
    encoder.fit(features, seed=0)
    latents = (features - encoder.mean) @ encoder.directions
    covariance = latents.T @ latents / len(latents)
    assert covariance.diagonal().mean().item() == pytest.approx(1, rel=1e-3)
    assert (covariance - covariance.diagonal().diag()).abs().max() < 0.02 * covariance.diagonal().max()
    with pytest.raises(CheckpointError, match=r"20 pictures .* too few for 24 principal components"):
        encoder.fit(features[:20], seed=0)


def test_a_changed_backbone_is_refused_in_a_sentence(fitted, folder, tmp_path):
    checkpoint, _ = fitted
    copied = tmp_path / "copied"
    copied.mkdir()
    for file in folder.iterdir():
        (copied / file.name).write_bytes(file.read_bytes())
    sizes = {**checkpoint.config["encoder"], "folder": str(copied)}
    moved = replace(checkpoint, config={"encoder": sizes})
    assert ImageEncoder(moved).latent_dim == 24
    with (copied / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x55")
    with pytest.raises(CheckpointError, match="is another one"):
        ImageEncoder(moved)


def test_a_missing_folder_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(CheckpointError, match=r"cannot read the backbone .*none.*download it there first"):
        folder_sha256(tmp_path / "none")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"has no \*\.safetensors"):
        folder_sha256(tmp_path)


def test_without_the_extra_one_sentence_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"")
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)  # as if it were not installed
    with pytest.raises(CheckpointError, match="needs the extra `backbone`"):
        BackboneConfig(str(tmp_path), folder_sha256(tmp_path), 64, 4, 24, 32).build()


def test_a_model_of_another_kind_or_a_wrong_size_is_refused_in_a_sentence(backbone, transformers, tmp_path):
    with pytest.raises(CheckpointError, match="multiple of the backbone's patch of 8"):
        replace(backbone, pixels=60).build()
    with pytest.raises(CheckpointError, match="at least 9 of them"):
        replace(backbone, cells=9).build()
    transformers.ViTModel(
        transformers.ViTConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    ).save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=r"is a 'vit'; usable are dinov2"):
        BackboneConfig(str(tmp_path), folder_sha256(tmp_path), 64, 4, 24, 32).build()


def test_the_shipped_configuration_is_read_and_a_wrong_one_refused(tmp_path):
    shipped = load_fit_config()
    assert shipped.encoder.pixels % 14 == shipped.encoder.pixels % 16 == 0
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump({"seed": 0}))
    with pytest.raises(StrictError, match="lacks held_out_fraction"):
        load_fit_config(path)


def test_a_world_model_is_trained_on_its_latents(fitted, backbone, config, episodes, tmp_path):
    checkpoint, _ = fitted
    settings = replace(
        config,
        encoder=backbone,
        optimiser=replace(config.optimiser, steps=3, warmup_steps=1, batch_sequences=4),
        head=replace(config.head, steps=2),
    )
    some = episodes.take(np.arange(10))
    with pytest.raises(CheckpointError, match="projection is not fitted"):
        train(some, settings, PROVENANCE, tmp_path / "unfitted")
    trained = train(some, settings, PROVENANCE, tmp_path / "trained", initial=checkpoint)
    assert torch.equal(trained.tensors["encoder.directions"], checkpoint.tensors["encoder.directions"])
    assert LatentWorldModel(trained) and ImageEncoder(trained).latent_dim == 24


def test_the_verb_makes_a_checkpoint_of_a_folder_and_collected_episodes(folder, tmp_path, capsys):
    data = tmp_path / "data"
    data.mkdir()
    arrays = disc_arrays(10, 6, seed=0)
    write_shard(data, 0, [{name: values[i] for name, values in arrays.items()} for i in range(10)])
    write_manifest(data, {"recipe": {"seed": 0}, "shards": 1, "content_sha256": content_sha256(data)})
    config = tmp_path / "small.yaml"
    config.write_text(yaml.safe_dump(plain(replace(CONFIG, frames=40, head=replace(CONFIG.head, steps=5)))))
    out = tmp_path / "out"
    call = ["backbone", "--folder", str(folder), "--data", str(data), "--config", str(config), "--out", str(out)]
    assert main(call) == 0
    assert ImageEncoder(load_checkpoint(out)).latent_dim == 24
    assert "goal head, tool position: mean" in capsys.readouterr().out
