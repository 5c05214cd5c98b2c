"""Users change history, depth and reliability of a topic by parameters; commands stay what they are."""

import pytest
from lifecycle_msgs.msg import Transition
from rclpy.qos import ReliabilityPolicy

from tests.nodes.graph import changes, node_process, wait_for

UP = (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE)


def of_joint_states(client):
    return [info.qos_profile.reliability for info in client.node.get_publishers_info_by_topic("/joint_states")]


def test_joint_states_are_sent_best_effort_where_a_parameter_says_so_and_again_after_a_cleanup(client):
    overrides = {"qos_overrides./joint_states.publisher.reliability": "best_effort"}
    with node_process("loopback_arm", "arm", **overrides) as process:
        for _ in range(2):
            assert all(changes(client, "arm", transition) for transition in UP), process.output()
            assert wait_for(lambda: of_joint_states(client) == [ReliabilityPolicy.BEST_EFFORT], 5.0)
            assert changes(client, "arm", Transition.TRANSITION_DEACTIVATE)
            assert changes(client, "arm", Transition.TRANSITION_CLEANUP)


@pytest.mark.parametrize(
    ("name", "value", "fails_at", "said"),
    [
        pytest.param(
            "/joint_states.publisher.reliability",
            "never",
            0,
            "it has to be system_default, reliable, best_effort",
            marks=pytest.mark.embedded,
        ),
        pytest.param(
            "/joint_states.publisher.depth", "many", 0, "it has to be a depth of 0 or more", marks=pytest.mark.embedded
        ),
        ("/joint_states.publisher.reliability", "never", 0, "reliability"),  # in words of rclpy's own there
        ("/joint_states.publisher.depth", "many", 0, "arm cannot configure"),
        ("/joint_stats.publisher.depth", "3", 1, "there are /joint_states.publisher., /tf.publisher."),
        ("/joint_states.subscription.depth", "3", 1, "fits nothing that can be overridden here"),
        (
            "/joint_trajectory_controller/joint_trajectory.subscription.reliability",
            "best_effort",
            1,
            "fits nothing that can be overridden here",
        ),
    ],
)
def test_what_cannot_be_overridden_refuses_the_node_with_what_can(client, name, value, fails_at, said):
    with node_process("loopback_arm", "arm", **{f"qos_overrides.{name}": value}) as process:
        for transition in UP[:fails_at]:
            assert changes(client, "arm", transition), process.output()
        assert not changes(client, "arm", UP[fails_at])
        assert said in process.output()
