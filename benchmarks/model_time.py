"""How long do the kinds of encoder and predictor take, on one thread?

    OMP_NUM_THREADS=1 python benchmarks/model_time.py

Least thread CPU time over repetitions, untrained weights: `encode` is one picture in float32, `train` forward and
backward passes over 128 pictures in bf16, `imagine` 128 candidates of 6 steps through the world model as the planner
calls it. A shared machine makes all of it slower, also by CPU time: compare rows of one run.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from ami_robot.perception.checkpoint import Checkpoint
from ami_robot.perception.conv import ConvConfig
from ami_robot.perception.encoder import EncoderConfig, normalise_pictures
from ami_robot.perception.grid import GridConfig
from ami_robot.perception.slots import SlotsConfig
from ami_robot.perception.vit import ViTConfig
from ami_robot.strict import plain
from ami_robot.types import ACTION_DIM, PROPRIO_DIM
from ami_robot.world_model.adaln_mlp import AdaLNMLPConfig
from ami_robot.world_model.mlp import MLPConfig
from ami_robot.world_model.model import LatentWorldModel
from ami_robot.world_model.predictor import Predictor, PredictorConfig
from ami_robot.world_model.token_transformer import TokenTransformerConfig

CANDIDATES, STEPS, PICTURES = 128, 6, 128
CONV = ConvConfig(128, (48, 96, 96, 128), 512, 256)
SLOTS, FINE = SlotsConfig((32, 64, 64), 8, 8, 256), GridConfig((48, 96, 96), 8, 4, 256)
COARSE = replace(FINE, cells=4, cell_dim=16)
ENCODERS: dict[str, EncoderConfig] = {
    "conv": CONV,
    "grid 8x8x4": FINE,
    "grid 4x4x16": COARSE,
    "slots 8": SLOTS,
    "vit": ViTConfig(patch=8, width=128, depth=3, heads=4, summaries=8, summary_dim=16, head_hidden=256),
}
MLP, ADALN, TOKENS = MLPConfig(256, 3), AdaLNMLPConfig(256, 2), TokenTransformerConfig(64, 2, 2)
PREDICTORS: list[tuple[str, EncoderConfig, PredictorConfig]] = [
    ("conv", CONV, MLP),
    ("conv", CONV, ADALN),
    ("conv", CONV, MLPConfig(128, 2, members=3)),
    ("conv", CONV, MLPConfig(128, 2, codes=4)),
    ("slots 8", SLOTS, MLP),
    ("slots 8", SLOTS, TokenTransformerConfig(48, 2, 1)),
    ("slots 8", SLOTS, TOKENS),
    ("slots 8", SLOTS, TokenTransformerConfig(96, 2, 2)),
    ("slots 8", SLOTS, TokenTransformerConfig(48, 1, 1, members=3)),
    ("grid 4x4x16", COARSE, TOKENS),
    ("grid 8x8x4", FINE, MLP),
    ("grid 8x8x4", FINE, TokenTransformerConfig(48, 1, 1)),
]


def least_ms(work: Callable[[], object], repetitions: int) -> float:
    """Of the thread's CPU time, after two calls that are not counted."""
    spent = []
    for _ in range(repetitions + 2):
        begun = time.thread_time()
        work()
        spent.append(time.thread_time() - begun)
    return 1e3 * min(spent[2:])


def encoder_row(name: str, config: EncoderConfig) -> str:
    """One line of the first table."""
    encoder = config.build().eval()
    pictures = torch.randint(0, 256, (PICTURES, 64, 64, 3), dtype=torch.uint8)
    views = normalise_pictures(pictures)
    with torch.inference_mode():
        encode_ms = least_ms(lambda: encoder(views[:1]), 30)
    encoder.train()

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            loss = encoder(views).float().square().mean()
        loss.backward()

    rate = 1e3 * PICTURES / least_ms(step, 4)
    return f"| {name} | {config.latent_dim} | {_millions(encoder)} | {encode_ms:.2f} | {rate:.0f} |"


def predictor_row(name: str, encoder: EncoderConfig, config: PredictorConfig) -> str:
    """One line of the second table."""
    predictor = Predictor(config, encoder.latent_dim, encoder.tokens)
    tensors = {f"predictor.{key}": value for key, value in predictor.state_dict().items()}
    description = {"encoder": plain(encoder), "predictor": plain(config)}
    model, rng = LatentWorldModel(Checkpoint(tensors, description, "0" * 64, "untrained")), np.random.default_rng(0)
    latent, proprio = rng.normal(size=encoder.latent_dim), rng.normal(size=PROPRIO_DIM)
    actions = 0.03 * rng.normal(size=(CANDIDATES, STEPS, ACTION_DIM))
    imagine_ms = least_ms(lambda: model.predict(latent, proprio, actions), 15)
    sizes = ", ".join(f"{key} {value}" for key, value in vars(config).items() if (key, value) not in _USUAL)
    return f"| {name} | {config.kind}: {sizes} | {_millions(predictor)} | {imagine_ms:.1f} |"


_USUAL = {("members", 1), ("codes", 1)}


def _millions(module: torch.nn.Module) -> str:
    return f"{sum(weight.numel() for weight in module.parameters()) / 1e6:.2f}"


def main() -> None:
    """Print both tables."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print("| encoder | D | parameters, 10^6 | encode, ms | train, pictures/s |\n|---|---|---|---|---|")
    for name, config in ENCODERS.items():
        print(encoder_row(name, config), flush=True)
    print("\n| latent | predictor | parameters, 10^6 | imagine, ms |\n|---|---|---|---|")
    for name, encoder, predictor in PREDICTORS:
        print(predictor_row(name, encoder, predictor), flush=True)


if __name__ == "__main__":
    main()
