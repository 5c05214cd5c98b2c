"""How many ways of going on a predictor imagines: what every kind of it can be told."""

from __future__ import annotations

from dataclasses import dataclass, field

from ami_robot.strict import StrictError


@dataclass(frozen=True)
class Variants:
    """Members of the ensemble, and values of the latent variable."""

    members: int = field(default=1, kw_only=True)  # networks trained apart; where they differ, the data said little
    codes: int = field(default=1, kw_only=True)  # outcomes told apart that the action does not decide; 1 is none

    def __post_init__(self) -> None:
        """Raise StrictError on sizes that no network can have."""
        if wrong := [name for name, size in vars(self).items() if size < 1]:
            raise StrictError(f"{', '.join(wrong)} has to be at least 1.")
