"""ROS 2 nodes on machines without ROS 2; see ros_ws/embedded/README.md."""
