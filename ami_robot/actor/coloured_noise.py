"""Noise that is correlated over time: neighbouring steps pull the same way, so the arm goes somewhere."""

from __future__ import annotations

import numpy as np

from ami_robot.types import Array


def coloured_noise(rng: np.random.Generator, shape: tuple[int, ...], beta: float) -> Array:
    """Gaussian noise whose power falls as 1/f^beta along axis 1, with unit variance at every step.

    Timmer and Koenig, "On generating power law noise" (1995), as iCEM uses it (Pinneri et al., 2020).
    Power at frequency zero is that of the lowest frequency, 1/H.

    Args:
        rng: source of randomness.
        shape: (N, H, ...).
        beta: 0 is white, 2 is Brownian.
    """
    steps = shape[1]
    frequency = np.maximum(np.fft.rfftfreq(steps), 1.0 / steps)
    amplitude = frequency ** (-beta / 2)
    spectrum_shape = (shape[0], len(frequency), *shape[2:])
    spectrum = rng.standard_normal(spectrum_shape) + 1j * rng.standard_normal(spectrum_shape)
    real_only = np.zeros(len(frequency), dtype=bool)  # frequency zero, and the highest one of an even number of steps
    real_only[0] = True
    real_only[-1] |= steps % 2 == 0
    spectrum[:, real_only] = spectrum[:, real_only].real * np.sqrt(2)
    spectrum *= amplitude.reshape(-1, *[1] * (len(shape) - 2))
    variance = np.sum(np.where(real_only, 2.0, 4.0) * amplitude**2)
    return np.fft.irfft(spectrum, n=steps, axis=1) * steps / np.sqrt(variance)
