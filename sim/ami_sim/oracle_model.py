"""The simulator as a world model: what it says of actions is what the environment does when they are carried out.

Each sequence is carried out in a fork of this process, so that it begins with everything there is: the solver's caches,
the motors, the guardrail, the generator of command delays. PyBullet's saveState leaves out for how long a block has
been at rest; blocks were up to 2 micrometres off after restoreState, and 0 after a fork. A fork costs a fifth more.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection

import cv2
import numpy as np

from ami_robot.perception.encoder import ImageEncoder
from ami_robot.types import Array, Outcomes
from ami_sim.env import Observation, TabletopEnv
from ami_sim.tasks import Task

_SAME = 1e-6
"""Between two ways to say the same proprioception, m and m/s: an observation's numbers are float32."""


@dataclass(frozen=True, eq=False)
class CarriedOut:
    """What came of H actions, after each of them."""

    image_latents: Array  # (H, D)
    proprio: Array  # (H, PROPRIO_DIM), m and m/s
    errors_m: Array  # (H,): the task's


class OracleModel:
    """Knows what comes of actions from one state, that of the environment, which stays in it. Implements `WorldModel`.

    It foresees the delays of commands, too, which no other model can: it is a ceiling. It is sure of all it says, so
    the spread is 0. It is asked for outcomes only: it is no `LocalWorldModel`.
    """

    def __init__(self, env: TabletopEnv, observation: Observation, task: Task, encoder: ImageEncoder) -> None:
        """Begin where the environment is.

        Args:
            env: nobody may step or reset it while the oracle is asked.
            observation: its last one.
            task: whose error is measured.
            encoder: makes latents of what the environment shows.
        """
        cv2.setNumThreads(0)  # threads do not survive a fork, and OpenCV would wait for them
        self._env, self._task, self._encoder = env, task, encoder
        self._latent = encoder.encode(observation["image"])
        self._proprio = np.asarray(observation["proprio"], np.float64)

    def predict(self, image_latent: Array, proprio: Array, actions: Array) -> Outcomes:
        """See `WorldModel.predict`. Raises ValueError for another belief than that of the state it begins from."""
        if not (
            np.array_equal(image_latent, self._latent) and np.allclose(proprio, self._proprio, rtol=0.0, atol=_SAME)
        ):
            raise ValueError("the oracle knows what comes of one state only, and this belief is not of that state.")
        carried = [self.carry_out(sequence) for sequence in actions]
        latents, measured = (np.stack([getattr(c, name) for c in carried]) for name in ("image_latents", "proprio"))
        return Outcomes(latents, measured, np.zeros(actions.shape[:2]))

    def carry_out(self, actions: Array) -> CarriedOut:
        """Do the actions (H, ACTION_DIM), one in each model step, and look after each."""
        fork = get_context("fork")
        here, there = fork.Pipe(duplex=False)
        process = fork.Process(target=self._send, args=(here, there, actions))
        process.start()
        there.close()
        with here:
            try:
                images, proprio, errors_m = here.recv()
            except EOFError as error:
                process.join()
                raise RuntimeError(f"a simulation died with exit status {process.exitcode}.") from error
        process.join()
        latents = np.stack([self._encoder.encode(image) for image in images])
        return CarriedOut(latents, np.stack(proprio).astype(np.float64), np.array(errors_m))

    def _send(self, here: Connection, there: Connection, actions: Array) -> None:
        """In the fork: torch is left to the parent, whose threads it may have."""
        here.close()  # the parent's end: as long as somebody holds it, nobody hears that the parent was ended
        assert self._env.arm is not None  # there is one after reset
        images, proprio, errors_m = [], [], []
        for action in actions:
            observation, *_ = self._env.step(action)
            images.append(observation["image"])
            proprio.append(observation["proprio"])
            errors_m.append(self._task.error(self._env.arm.world))
        with contextlib.suppress(BrokenPipeError):  # who asked was ended meanwhile
            there.send((images, proprio, errors_m))
