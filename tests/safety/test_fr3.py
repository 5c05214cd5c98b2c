"""The guardrail file of the Franka Research 3: what that robot allows, less near its end stops, is kept everywhere."""

import numpy as np
import pytest

from ami_robot.safety.dynamics import Dynamics
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.spec import load_spec, spec_file
from ami_sim.trials.kinematic import STATIC_FAMILIES, Guarded, KinematicCell
from ami_sim.trials.trial import draw

SPEC, KINEMATICS, DYNAMICS = load_spec(spec_file("fr3")), Kinematics(), Dynamics("fr3")

# libfranka, rate_limiting.h: greatest rad/s, then velocity = sqrt(slope (stop - q)) - offset towards either stop
GREATEST = np.array([2.62, 2.62, 2.62, 2.62, 5.26, 4.18, 5.26])
OFFSETS = np.array([0.30, 0.20, 0.20, 0.30, 0.35, 0.35, 0.35])
SLOPES = np.array([12.0, 5.17, 7.0, 8.0, 34.0, 11.0, 34.0])
UPPER_STOPS = np.array([2.75010, 1.79180, 2.90650, -0.14580, 2.81010, 4.52050, 3.01960])
LOWER_STOPS = -np.array([2.75010, 1.79180, 2.90650, 3.04810, 2.81010, -0.54092, 3.01960])


def allowed_rad_per_s(q):
    """What the robot allows at q (..., 7) in either direction."""
    to_stops = np.minimum(UPPER_STOPS - q, q - LOWER_STOPS)
    return np.minimum(GREATEST, np.sqrt(np.maximum(SLOPES * to_stops, 0.0)) - OFFSETS)


def test_the_velocity_limits_hold_wherever_a_joint_may_be():
    positions = np.linspace(SPEC.joint_position.lower_rad, SPEC.joint_position.upper_rad, 1001)
    least = allowed_rad_per_s(positions).min(axis=0)
    assert np.all(SPEC.joint_velocity.limit_rad_per_s <= least)
    assert np.all(SPEC.joint_velocity.limit_rad_per_s > least - 0.011), "no slower than that"


def test_its_links_weigh_what_the_maker_says_and_gravity_takes_little_else_than_with_a_panda():
    q = np.random.default_rng(0).uniform(SPEC.joint_position.lower_rad, SPEC.joint_position.upper_rad, (200, 7))
    rest = np.zeros_like(q)
    apart = np.abs(DYNAMICS.torques(q, rest, rest) - Dynamics("panda").torques(q, rest, rest))
    assert 0.1 < apart.max() < 2.5


@pytest.fixture(scope="module")
def cell():
    cell = KinematicCell(KINEMATICS)
    yield cell
    cell.close()


@pytest.mark.parametrize("family", STATIC_FAMILIES)
@pytest.mark.parametrize("seed", range(4))
def test_nobody_makes_it_break_a_limit(cell, family, seed):
    trial = draw(family, seed, SPEC, KINEMATICS, DYNAMICS)
    assert cell.run(trial, Guarded(trial, KINEMATICS, DYNAMICS)).events == []
