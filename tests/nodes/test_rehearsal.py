"""What the preflight learns of the nodes without launching them is what the launched graph has."""

import pytest

from ami_embedded.launch_description import describe
from ami_nodes.preflight_endpoints import endpoints
from ami_nodes.preflight_machine import SIMULATED_FPS
from ami_nodes.preflight_rehearsal import Launched, rehearse
from ami_sim.arm import CAMERA_SUBSTEPS
from ami_sim.world import PHYSICS_HZ
from tests.nodes.graph import LAUNCH_FILE, launched, wait_for

BRINGUP = LAUNCH_FILE.with_name("bringup.launch.xml")
ARGUMENTS = {"arm": "loopback", "vision": "false", "config": "analytic"}


def test_a_rehearsed_node_has_the_endpoints_of_the_launched_one(client):
    processes = describe(BRINGUP, ARGUMENTS).processes
    target = [process.command.index("ami_embedded.run") + 1 for process in processes]
    tried = rehearse(
        [
            Launched(process.label, process.command[at].partition(":")[0], process.command[at + 1 :])
            for process, at in zip(processes, target, strict=True)
        ]
    )
    rehearsed = {end for one in tried for end in one.endpoints}
    names = {one.node for one in tried}
    with launched(BRINGUP, **ARGUMENTS):
        client.wait_until_active(60.0)

        def live():
            return {end for end in endpoints(client.node) if end.node in names}

        assert wait_for(lambda: live() == rehearsed, 10.0), live() ^ rehearsed


@pytest.mark.embedded  # rclpy refuses such a name without taking the process down
def test_a_node_that_takes_the_process_down_is_named_and_the_others_are_tried_all_the_same():
    broken = Launched("broken", "ami_nodes.guardrail", ["--ros-args", "-r", "__node:=no name"])
    first, second = rehearse([broken, Launched("after", "ami_nodes.world_model", [])])
    assert "its process ended" in first.build_fault and "no name" in first.build_fault
    assert second.whole and second.settings


def test_pictures_of_the_simulated_camera_are_reckoned_at_its_rate():
    assert SIMULATED_FPS == PHYSICS_HZ / CAMERA_SUBSTEPS
