"""The simulated camera: draws its own mirror of the world, so that rendering never holds the physics up."""

from __future__ import annotations

import sys
from typing import Any

from ami_interfaces.msg import HeldTool, SimState

from ami_nodes import qos
from ami_nodes.camera import CameraNode
from ami_nodes.common import run_node
from ami_nodes.convert import to_ns, xyz
from ami_nodes.sim_state import to_snapshot
from ami_sim.people_scripts import SCRIPTS
from ami_sim.tasks import TASKS
from ami_sim.world import World


class SimulatedCameraNode(CameraNode):
    """sim/state -> a picture of it."""

    def build(self) -> None:
        """The world is made with the first state, whose scene it has to show."""
        super().build()
        self.world: World | None = None
        self.drawn: tuple[str, int, str, str] | None = None  # task, scene, people and tool of that world

    def start(self) -> list[Any]:
        """Draw the newest state."""
        return [*super().start(), self.subscription(SimState, "sim/state", self.on_state, qos.LATEST_IN)]

    def discard(self) -> None:
        """Give the mirror world back."""
        if self.world is not None:
            self.world.close()
            self.world = None

    def on_state(self, message: SimState) -> None:
        """One state -> one image."""
        drawn = (message.task, message.scene_seed, message.people, message.held_tool.hazard)
        if self.world is None or drawn != self.drawn:
            self.world, self.drawn = self.mirror_world(message), drawn
        if self.world.people is not None:
            self.world.people.move_to(message.scene_time)
        self.world.mirror(to_snapshot(message))
        self.show(self.world.render(), to_ns(message.header.stamp))

    def mirror_world(self, message: SimState) -> World:
        """The scene from its start, with its people and what the gripper holds."""
        scene, tool = TASKS[message.task](message.scene_seed).scene, message.held_tool
        world = self.world or World(scene, self.camera)
        if world is self.world:
            world.reset(scene)
        if message.people in SCRIPTS:
            world.add_people(SCRIPTS[message.people])
        if tool.hazard != HeldTool.NONE:
            world.hold_tool(tool.hazard, xyz(tool.tip))
        return world


def main() -> int:
    """Run the node."""
    return run_node("simulated_camera", lambda: SimulatedCameraNode("camera"))


if __name__ == "__main__":
    sys.exit(main())
