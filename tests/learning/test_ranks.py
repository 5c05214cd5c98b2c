"""Two processes that share each batch do what one does with the whole of it."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
import yaml
from disc_world import PROVENANCE, disc_arrays

from ami_robot.cli.main import main
from ami_robot.episodes.shards import content_sha256, write_manifest, write_shard
from ami_robot.learning import losses, ranks
from ami_robot.learning.jepa import JEPA
from ami_robot.learning.train import TrainingError, train
from ami_robot.perception.checkpoint import load_checkpoint
from ami_robot.perception.slots import SlotsConfig

TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")

STATISTICS = """
import sys, torch
from ami_robot.learning import losses, ranks

path, latents = sys.argv[1], torch.load(sys.argv[2])
with ranks.joined(torch.device("cpu")):
    mine = latents[ranks.rank() :: 2].clone().requires_grad_()
    found = {}
    for name in ("variance", "covariance", "sigreg"):
        more = (64, 17, torch.Generator().manual_seed(3)) if name == "sigreg" else ()
        mine.grad = None
        loss = getattr(losses, name)(mine, *more)
        (loss / 2).backward()  # as if the gradients of two processes were averaged
        found[name] = (loss.detach(), mine.grad.clone())
    torch.save(found, f"{path}.{ranks.rank()}")
"""


def run_two(*command):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*TORCHRUN, *command], capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    return done


def test_losses_over_the_batch_and_their_gradients_are_those_of_the_whole_batch(tmp_path):
    latents = torch.randn(64, 6, generator=torch.Generator().manual_seed(0)) @ torch.rand(6, 6) * 0.4 + 0.2
    torch.save(latents, tmp_path / "latents.pt")
    (tmp_path / "statistics.py").write_text(STATISTICS)
    run_two(str(tmp_path / "statistics.py"), str(tmp_path / "found"), str(tmp_path / "latents.pt"))
    both = [torch.load(tmp_path / f"found.{rank}") for rank in range(2)]
    for name, more in (("variance", ()), ("covariance", ()), ("sigreg", (64, 17, torch.Generator().manual_seed(3)))):
        whole = latents.clone().requires_grad_()
        loss = getattr(losses, name)(whole, *more)
        loss.backward()
        assert loss > 0.01 and whole.grad.abs().max() > 1e-5
        for rank, found in enumerate(both):
            torch.testing.assert_close(found[name][0], loss.detach(), rtol=1e-4, atol=1e-6)
            torch.testing.assert_close(found[name][1], whole.grad[rank::2], rtol=1e-3, atol=1e-6)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    arrays = disc_arrays(12, 8, seed=0)
    write_shard(folder, 0, [{name: values[i] for name, values in arrays.items()} for i in range(12)])
    write_manifest(folder, {"recipe": {"seed": 0}, "shards": 1, "content_sha256": content_sha256(folder)})
    return folder


def test_two_processes_train_the_model_that_one_trains(tmp_path, config, data):
    config = replace(
        config,
        encoder=SlotsConfig((8, 8, 8), 4, 4, 16),  # no batch normalisation, which would see a part of the batch
        augmentation=replace(
            config.augmentation, contrast=0.0, brightness=0.0, noise=0.0
        ),  # each process draws its own
        loss=replace(config.loss, sigreg=0.05),
        optimiser=replace(config.optimiser, steps=8, warmup_steps=2, batch_sequences=8, precision="fp32"),
        head=replace(config.head, steps=3),
    )
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config.as_dict()))
    common = ["train", "--data", str(data), "--config", str(path), "--device", "cpu", "--out"]
    assert main([*common, str(tmp_path / "one")]) == 0
    done = run_two("-m", "ami_robot.cli.main", *common, str(tmp_path / "two"))
    assert done.stdout.count("checkpoint and model card in") == 1
    torch.manual_seed(config.seed)
    start = JEPA(config).state_dict()
    one, two = (load_checkpoint(tmp_path / name).tensors for name in ("one", "two"))

    def apart(left, right):
        learned = [name for name in one if name.startswith(("encoder.", "predictor.networks."))]
        return sum(float((left[name] - right[name]).square().sum()) for name in learned) ** 0.5

    assert apart(one, two) < 0.01 * apart(one, start)


def test_a_batch_that_cannot_be_shared_out_is_refused(config, episodes, tmp_path, monkeypatch):
    monkeypatch.setattr(ranks, "world_size", lambda: 3)
    with pytest.raises(TrainingError, match="batch_sequences is 32, it has to be a multiple of the 3 processes"):
        train(episodes, config, PROVENANCE, tmp_path)
