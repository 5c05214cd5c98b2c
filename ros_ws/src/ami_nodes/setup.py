"""Packaging for colcon (ament_python): one console script for each node."""

from setuptools import find_packages, setup

NODES = (
    *("arm", "loopback_arm", "robot_arm", "people", "recorder"),
    *("simulated_camera", "device_camera", "replay_camera"),
    *("encoder", "world_model", "planner", "planner_with_model", "guardrail", "lifecycle_manager"),
)

setup(
    name="ami_nodes",
    version="0.1.0",
    description="Thin rclpy lifecycle nodes around the ami_robot library and its simulated world.",
    license="Apache-2.0",
    packages=find_packages(include=["ami_nodes", "ami_nodes.*"]),
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/ami_nodes"]),
        ("share/ami_nodes", ["package.xml"]),
    ],
    install_requires=["setuptools"],
    zip_safe=True,
    entry_points={"console_scripts": [f"{node} = ami_nodes.{node}:main" for node in NODES]},
)
