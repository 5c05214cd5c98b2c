"""A stand-in for a detector: tells of the simulated people as late and as wrong as one would, and of the held tool."""

from __future__ import annotations

import sys
from typing import Any

from ami_interfaces.msg import HeldTool, PersonArray, SimState

from ami_nodes import qos
from ami_nodes.common import AmiNode, run_node
from ami_nodes.convert import from_people_msg, to_people_msg
from ami_nodes.parameters import Param
from ami_sim.people_sensor import PeopleSensor


class PeopleNode(AmiNode):
    """sim/people -> people, delayed and noisy; the tool of sim/state -> held_tool. Like the camera, no agent node."""

    PARAMETERS = (
        Param("delay_s", 0.05, "from the capture to the message", minimum=0.0, maximum=1.0),
        Param("noise_m", 0.02, "greatest error of a capsule's end, told as radius error", minimum=0.0, maximum=1.0),
        Param("rate_hz", 30.0, "captures per second", minimum=1.0, maximum=60.0),
        Param("seed", 0, "of the noise", minimum=0),
    )

    def build(self) -> None:
        """Begin anew with the noise."""
        wanted = self.settings
        self.sensor = PeopleSensor(wanted.delay_s, wanted.noise_m, wanted.rate_hz, wanted.seed)
        self.people_publisher = self.publisher(PersonArray, "people", qos.SENSOR_OUT)
        self.tool_publisher = self.publisher(HeldTool, "held_tool", qos.SENSOR_OUT)

    def start(self) -> list[Any]:
        """Look."""
        return [
            self.subscription(PersonArray, "sim/people", self.on_people, qos.SENSOR_IN),
            self.subscription(SimState, "sim/state", self.on_state, qos.LATEST_IN),
        ]

    def on_people(self, message: PersonArray) -> None:
        """Capture when it is time; publish what has been long enough on its way."""
        truth = from_people_msg(message)
        for people in self.sensor.update(truth.stamp_ns, lambda: truth.persons):
            self.people_publisher.publish(to_people_msg(people))

    def on_state(self, message: SimState) -> None:
        """What the gripper holds is known without delay: somebody put it there."""
        self.tool_publisher.publish(message.held_tool)


def main() -> int:
    """Run the node."""
    return run_node("people", lambda: PeopleNode("people"))


if __name__ == "__main__":
    sys.exit(main())
