"""A rehearsal is of decisions that are really made: what is refused at once would load nothing."""

import pytest

from ami_robot.safety import rehearsal
from ami_robot.safety.dynamics import Dynamics
from ami_robot.safety.guardrail import Guardrail
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.spec import DEFAULT_SPEC, load_spec


@pytest.mark.parametrize("robot", ["panda", "fr3", "ur5e"])
def test_a_step_is_taken_one_is_bent_and_the_arm_brakes_on_every_robot(robot, monkeypatch):
    reports = []

    class Heard(Guardrail):
        def step(self, *args):
            reports.append(super().step(*args))

        def e_stop(self, *args):
            reports.append(super().e_stop(*args))

    monkeypatch.setattr(rehearsal, "Guardrail", Heard)
    spec = load_spec(DEFAULT_SPEC.with_name(f"{robot}.yaml"))
    rehearsal.rehearse(spec, Kinematics(robot), Dynamics(robot))
    assert [report.decision for report in reports] == ["accepted", "brake", "modified", "brake"]
