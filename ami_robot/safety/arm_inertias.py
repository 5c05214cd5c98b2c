"""Masses, centres of mass and inertias of the moving links, the hand and the fingers of the arms that there are.

Panda: identified by C. Gaz, M. Cognetti, A. Oliva, P. Robuffo Giordano and A. De Luca, "Dynamic Identification of the
Franka Emika Panda Robot With Retrieval of Feasible Parameters Using Penalty-Based Optimization", IEEE RA-L 4(4), 2019.
FR3: franka_description, robots/fr3/inertials.yaml. Both carry the Franka Hand: end_effectors/franka_hand/inertials.yaml
there. Link 0 does not move. The fingers stand here on the hand's axis: at every width the middle of the two lies there.
"""

from __future__ import annotations

from dataclasses import dataclass

HAND = 8
"""Number of the hand in the table; links 1 to 7 carry their own."""


@dataclass(frozen=True)
class Body:
    """A rigid body in the frame of its link."""

    link: int  # 1 to 7, or HAND
    mass_kg: float
    center_m: tuple[float, float, float]
    inertia_kg_m2: tuple[float, float, float, float, float, float]  # xx, yy, zz, xy, xz, yz; about the centre of mass


_FINGERS = (2 * 2.375e-06, 2 * 2.375e-06, 2 * 7.5e-07, 0.0, 0.0, 0.0)

_FRANKA_HAND = (
    Body(HAND, 0.73, (-0.01, 0.0, 0.03), (0.001, 0.0025, 0.0017, 0.0, 0.0, 0.0)),
    Body(HAND, 2 * 0.015, (0.0, 0.0, 0.0584), _FINGERS),
)

_PANDA = (
    Body(1, 4.970684, (0.003875, 0.002081, -0.04762), (0.70337, 0.70661, 0.009117, -0.000139, 0.006772, 0.019169)),
    Body(2, 0.646926, (-0.003141, -0.02872, 0.003495), (0.007962, 0.02811, 0.025995, -0.003925, 0.010254, 0.000704)),
    Body(3, 3.228604, (0.027518, 0.039252, -0.066502), (0.037242, 0.036155, 0.01083, -0.004761, -0.011396, -0.012805)),
    Body(4, 3.587895, (-0.05317, 0.104419, 0.027454), (0.025853, 0.019552, 0.028323, 0.007796, -0.001332, 0.008641)),
    Body(5, 1.225946, (-0.011953, 0.041065, -0.038437), (0.035549, 0.029474, 0.008627, -0.002117, -0.004037, 0.000229)),
    Body(6, 1.666555, (0.060149, -0.014117, -0.010517), (0.001964, 0.004354, 0.005433, 0.000109, -0.001158, 0.000341)),
    Body(7, 0.735522, (0.010517, -0.004252, 0.061597), (0.012516, 0.010027, 0.004815, -0.000428, -0.001196, -0.000741)),
)

_FR3 = (
    Body(
        1,
        2.92746535,
        (0.00000041, -0.01812513, -0.0386036),
        (0.023927316, 0.022482161, 0.006350098, 0.000013318, -0.000114048, -0.001995032),
    ),
    Body(
        2,
        2.93553703,
        (0.00318289, -0.07432216, 0.00881461),
        (0.041938946, 0.025145149, 0.061702145, 0.000202573, 0.004077784, -0.004225216),
    ),
    Body(
        3,
        2.24490137,
        (0.04070157, -0.00482006, -0.02897308),
        (0.024101425, 0.019740533, 0.019044494, 0.002404695, -0.002856269, -0.002104213),
    ),
    Body(
        4,
        2.61559558,
        (-0.0459101, 0.0630493, -0.00851879),
        (0.034529983, 0.028881622, 0.041254712, 0.013225523, 0.01015143, -0.000976283),
    ),
    Body(
        5,
        2.32712076,
        (-0.00160396, 0.02925363, -0.0972966),
        (0.051610278, 0.047877297, 0.016423626, -0.005715173, -0.003567317, 0.010673985),
    ),
    Body(
        6,
        1.81703765,
        (0.05971312, -0.04102947, -0.01016927),
        (0.005412334, 0.01405833, 0.016080818, 0.006193456, 0.001421929, -0.001314075),
    ),
    Body(
        7,
        0.62714329,
        (0.00452258, 0.00862619, -0.01616333),
        (0.000210924, 0.000177186, 0.000059932, -0.000024333, 0.000045645, 0.000087441),
    ),
)

BODIES = {"panda": _PANDA + _FRANKA_HAND, "fr3": _FR3 + _FRANKA_HAND}
"""By the name of the robot in the guardrail file."""
