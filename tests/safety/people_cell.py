"""A bench with people about and a tool in the gripper, and where in it who stands how near."""

from dataclasses import replace

import numpy as np
from guardrail_bench import CENTRE, REST, SPEC, Bench

from ami_robot.types import HeldTool, People, Person

TOPIC = replace(SPEC, people=replace(SPEC.people, source_of_people="topic"))
DOWN = np.array([0.0, 0.0, 0.1])
FAR, IN_REACH, TOO_NEAR = 3.0, 1.15, 0.75  # m, along x; the tool is at 0.5


def person(x_m: float, y_m: float = 0.0) -> Person:
    return Person(np.array([x_m, y_m, 0.0]), np.array([x_m, y_m, 1.8]), 0.15, REST[:3], 0.02)


ACROSS = np.array([0.0, 0.1, 0.0])  # a tool that lies across the arm points at one of these two
TO_THE_SIDES = (person(CENTRE[0], 0.7), person(CENTRE[0], -0.7))


class Cell(Bench):
    """A bench with people and a tool; both are told of afresh with every step, unless silent."""

    def __init__(self, *persons: Person, hazard="none", spec=TOPIC, **kwargs):
        super().__init__(spec=spec, **kwargs)
        self.persons, self.hazard, self.tip, self.silent = persons, hazard, DOWN, False

    def step(self, **kwargs):
        if not self.silent:
            self.guardrail.people(People(self.now_ns, tuple(self.persons)))
            self.guardrail.held_tool(HeldTool(self.now_ns, self.hazard, self.tip))
        return super().step(**kwargs)

    def run_to_rest(self):
        """Reports of the steps until the arm rests."""
        reports = []
        for _ in range(200):
            report = self.wait(10).step()
            if report is not None:
                reports.append(report)
            if not np.any(self.state.velocities):
                return reports
        raise AssertionError("the arm does not come to rest")


def assert_stopped(bench: Bench, report, row: str):
    """A protective stop: braking, and armed."""
    assert report.decision == "brake"
    assert report.refusal.guardrail == row
    assert report.armed
    assert bench.guardrail.armed
    assert report.sent is not None
    assert report.sent.times_s[-1] < 0.3
