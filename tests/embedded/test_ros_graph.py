"""What other processes see of us and we of them."""

import pytest
from core import companion, namespace_of, running, spin_until
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from std_msgs.msg import String
from std_srvs.srv import Trigger

STRING_HASH = "RIHS01_df668c740482bbd48fb39d76a70dfd4bd59db1288021743503259e948f6b1a18"


def test_another_process_and_all_that_it_offers_is_seen_and_leaves():
    with running() as (node, executor):
        space = namespace_of(node)
        with companion(space):
            spin_until(executor, lambda: ("companion", space) in node.get_node_names_and_namespaces())
            services = {f"{space}/switch", f"{space}/companion/set_parameters"}  # each is found by itself, in any order
            offers = node.get_service_names_and_types_by_node
            spin_until(executor, lambda: services <= dict(offers("companion", space)).keys())
            for find, topic in (
                (node.get_publishers_info_by_topic, "latched"),
                (node.get_publishers_info_by_topic, "unreliable"),
                (node.get_subscriptions_info_by_topic, "image_in"),
            ):
                spin_until(executor, lambda find=find, topic=topic: [x.node_name for x in find(topic)] == ["companion"])
            assert dict(node.get_topic_names_and_types())[f"{space}/image_in"] == ["sensor_msgs/msg/Image"]
            assert dict(node.get_service_names_and_types())[f"{space}/switch"] == ["std_srvs/srv/SetBool"]
            (info,) = node.get_publishers_info_by_topic("latched")
            assert (info.node_name, info.topic_type) == ("companion", "std_msgs/msg/String")
            assert info.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
            (info,) = node.get_publishers_info_by_topic("unreliable")
            assert info.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
            (info,) = node.get_subscriptions_info_by_topic("image_in")
            assert (info.node_name, info.node_namespace) == ("companion", space)
        spin_until(executor, lambda: ("companion", space) not in node.get_node_names_and_namespaces())
        assert node.count_publishers("latched") == 0


def test_what_a_node_destroys_leaves_the_graph():
    with running() as (node, executor), running("watcher", namespace_of(node)) as (watcher, _):
        publisher = node.create_publisher(String, "chatter", 10)
        spin_until(executor, lambda: watcher.count_publishers("chatter") == 1)
        node.destroy_publisher(publisher)
        spin_until(executor, lambda: watcher.count_publishers("chatter") == 0)
        gone = "tester", namespace_of(node)
        node.destroy_node()
        spin_until(executor, lambda: gone not in watcher.get_node_names_and_namespaces())


@pytest.mark.embedded
def test_every_endpoint_announces_its_type_hash():
    """Without it stock ROS 2 warns about each one."""
    with running() as (node, _):
        graph = node.context.graph
        node.create_service(Trigger, "go", lambda q, r: r)
        node.create_publisher(String, "chatter", 10)
        mine = {gid for n in graph.nodes() if n.namespace == namespace_of(node) for gid in (*n.readers, *n.writers)}
        endpoints = [e for e in (*graph.writers(), *graph.readers()) if e.gid in mine]
        # /rosout, /parameter_events, chatter, one service, six parameter services
        assert len(endpoints) == len(mine) == 17
        assert all("typehash=RIHS01_" in e.qos.user_data for e in endpoints)
        (chatter,) = [e.qos.user_data for e in endpoints if e.topic_name.endswith("/chatter")]
        assert chatter == f"typehash={STRING_HASH};"
