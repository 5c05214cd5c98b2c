"""Learning by how far an imagined block is off, from episodes that are new to the world model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from ami_robot.learning.config import OptimiserConfig
from ami_robot.learning.dataset import DataError, contact_windows
from ami_robot.learning.diagnostics import opinion_of_block, trained_on, training_config, uncertainty
from ami_robot.learning.latents import LatentEpisodes
from ami_robot.learning.run_state import TrainingError, adamw, learning_rate_share
from ami_robot.learning.train import Provenance
from ami_robot.learning.windows import Windows
from ami_robot.perception.checkpoint import DESCRIPTION_FILE, Checkpoint, save_checkpoint
from ami_robot.perception.encoder import PlaceHead, load_block_head
from ami_robot.strict import StrictError, plain, read_file
from ami_robot.world_model.error_predictor import ErrorPredictor, ErrorPredictorConfig, ImaginedBlock, features
from ami_robot.world_model.predictor import Predictor, load_predictor

DEFAULT_CONFIG = Path(__file__).with_name("error_predictor.yaml")
_LEAST_SPREAD = 1e-3


@dataclass(frozen=True)
class ErrorTrainingConfig:
    """Everything that, with data and checkpoint, decides the error predictor."""

    seed: int
    held_out_fraction: float  # of the episodes
    width: int
    optimiser: OptimiserConfig

    def __post_init__(self) -> None:
        """Raise StrictError on values that do not go together."""
        optimiser = self.optimiser
        for wrong, sentence in (
            (not 0 < self.held_out_fraction < 1, "held_out_fraction has to be between 0 and 1"),
            (optimiser.warmup_steps >= optimiser.steps, "optimiser.warmup_steps has to be less than optimiser.steps"),
            (min(self.width, optimiser.batch_sequences) < 1, "width and optimiser.batch_sequences have to be > 0"),
        ):
            if wrong:
                raise StrictError(f"{sentence}.")


def load_error_config(path: Path | str = DEFAULT_CONFIG) -> ErrorTrainingConfig:
    """Read a configuration; raises StrictError, see `read_file`."""
    return read_file(path, ErrorTrainingConfig)


def train_error_predictor(
    checkpoint: Checkpoint, episodes: LatentEpisodes, config: ErrorTrainingConfig, provenance: Provenance, out: Path
) -> Checkpoint:
    """Learn from some of the episodes, measure on the others, and write the error predictor into the folder `out`.

    The loss is the likelihood of the distance between the block and where it is imagined, at every step of windows in
    which it moves, as exponentially distributed with the predicted mean: a Laplace distribution in one dimension.

    Args:
        checkpoint: with a block head.
        episodes: of one block, in latents of its encoder.
        config: how.
        provenance: of the episodes.
        out: made if missing; holds no checkpoint yet.

    Raises:
        TrainingError: the checkpoint was trained on these data, or `out` holds a checkpoint.
        CheckpointError: the checkpoint has no block head, or does not say how it was trained.
        DataError: the episodes are too few, have not one block, or nothing moves in them.
    """
    steps = training_config(checkpoint).window.steps
    if trained_on(checkpoint, provenance.data_sha256):
        raise TrainingError(
            f"{checkpoint.source} was trained on these data, where it errs less than elsewhere; collect others, with "
            "another --seed."
        )
    if (out / DESCRIPTION_FILE).exists():
        raise TrainingError(f"{out} already holds a checkpoint; give another --out.")
    if episodes.blocks.shape[2] != 1:
        raise DataError(f"an error predictor needs episodes with one block, these have {episodes.blocks.shape[2]}.")
    head, predictor = load_block_head(checkpoint), load_predictor(checkpoint)
    training, held_out = episodes.split(config.held_out_fraction, config.seed)
    starts = contact_windows(training.blocks.numpy(), steps)
    if not len(starts):
        raise DataError(f"in no {steps} steps of an episode does the block move; collect some in which it does.")
    torch.manual_seed(config.seed)
    network = ErrorPredictor(ErrorPredictorConfig(config.width))
    learn(network, *_cases(Windows.at(training, starts, steps), predictor, head), config)
    opinion = opinion_of_block(ImaginedBlock(head, network))
    return save_checkpoint(
        out,
        {"error_predictor": network.eval()},
        {"error_predictor": network.config},
        {
            "revision": provenance.revision,
            "checkpoint_sha256": checkpoint.sha256,
            "data": {"content_sha256": provenance.data_sha256, "recipe": provenance.data_manifest.get("recipe", {})},
            "training": plain(config),
            "metrics": uncertainty(predictor, opinion, held_out, steps, config.seed),
        },
        provenance.preprocessing_id,
    )


@torch.inference_mode()
def _cases(windows: Windows, predictor: Predictor, head: PlaceHead) -> tuple[Tensor, Tensor]:
    """Features (W, H + 1, F), and by how far the block is off (W, H + 1), m."""
    latents, proprio = windows.way(windows.imagined(predictor))
    places, std = head.place(latents)
    off = torch.linalg.vector_norm(places - windows.blocks[:, :, 0], dim=-1)
    return features(places, std, proprio), off


def learn(network: ErrorPredictor, known: Tensor, off: Tensor, config: ErrorTrainingConfig) -> None:
    """Fit it to features (W, K, F) and by how far the block was off (W, K), m; raises TrainingError, see above."""
    flat = known.flatten(0, 1).double()
    network.mean.copy_(flat.mean(0))
    network.std.copy_(flat.std(0).clamp_min(_LEAST_SPREAD))
    settings, generator = config.optimiser, torch.Generator().manual_seed(config.seed)
    optimiser = adamw(network.parameters(), settings.learning_rate, settings.weight_decay)
    for step in tqdm(range(settings.steps), "train", leave=False, disable=None):
        share = learning_rate_share(step, settings.warmup_steps, settings.steps)
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * share
        drawn = torch.randint(len(known), (settings.batch_sequences,), generator=generator)
        expected = network(known[drawn])
        loss = (off[drawn] / expected + expected.log()).mean()
        if not torch.isfinite(loss):
            raise TrainingError(f"the loss is not finite at step {step}; lower optimiser.learning_rate.")
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), settings.gradient_clip)
        optimiser.step()
