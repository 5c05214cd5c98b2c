"""Makes the small recording anew on which the replay is tested: `python -m tests.nodes.recordings.record`.

Due when the shipped checkpoint, the task `reach` or the messages change. With people passing by, the graph
brings about a picture for 4 s and a position for 2 s; what the replay reads of its recording is kept, compressed.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from rosbags.interfaces import Connection
from rosbags.rosbag2 import CompressionFormat, CompressionMode, Reader, StoragePlugin, Writer

from ami_embedded import finder

finder.install()

import rclpy  # noqa: E402

from ami_nodes.graph_client import GraphClient, image_goal, position_goal  # noqa: E402
from ami_nodes.replay import IMAGES, TOPICS  # noqa: E402
from ami_robot.perception.camera import load_camera  # noqa: E402
from ami_sim.scene import Scene  # noqa: E402
from ami_sim.world import render_goal_image  # noqa: E402
from tests.domains import GRAPHS  # noqa: E402
from tests.nodes.graph import LAUNCH_FILE, launched  # noqa: E402

RECORDING = Path(__file__).parent / "reach"
SEED = 1000


def record(folder: Path, config: str = "reach") -> None:
    """The whole recording of the two goals, pursued by the agent of a task file."""
    camera, scene, next_scene = load_camera(), Scene.from_seed(SEED), Scene.from_seed(SEED + 1)
    bringup = LAUNCH_FILE.with_name("bringup.launch.xml")
    arguments = {"record": "true", "record_folder": str(folder), "scene_seed": str(SEED), "people": "passers_by"}
    arguments |= {"config": config}
    with launched(bringup, **arguments) as launch:
        with GraphClient("recordist") as client:
            client.wait_until_active()
            client.begin_episode(SEED)
            client.pursue(image_goal(render_goal_image(scene, camera), camera), 4.0)
            client.pursue(position_goal(next_scene.goal_position), 2.0)
        if launch.interrupt() != 0:
            raise SystemExit(launch.output())


def copy(source: Path, target: Path) -> None:
    """The topics that a replay reads, compressed, with their digests."""
    writer = Writer(target, version=9, storage_plugin=StoragePlugin.MCAP)
    writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    with Reader(source) as reader, writer:
        kept = [each for each in reader.connections if each.topic.lstrip("/") in (*TOPICS, IMAGES)]
        copies = {each.id: add(writer, each) for each in kept}
        for connection, received_ns, data in reader.messages(kept):
            writer.write(copies[connection.id], received_ns, data)
        for name, digest in (reader.storage.metadata.custom or {}).items():
            if any(name.endswith(f" {each.topic}") for each in kept):
                writer.set_custom_data(name, digest)


def add(writer: Writer, connection: Connection) -> Connection:
    """The same topic in the copy."""
    return writer.add_connection(
        connection.topic,
        connection.msgtype,
        msgdef=connection.msgdef.data,
        rihs01=connection.digest,
        offered_qos_profiles=connection.ext.offered_qos_profiles,
    )


def main() -> int:
    """Replace the recording."""
    os.environ["ROS_DOMAIN_ID"] = GRAPHS
    rclpy.init(args=[])
    with tempfile.TemporaryDirectory() as folder:
        record(Path(folder) / "whole")
        shutil.rmtree(RECORDING, ignore_errors=True)
        copy(Path(folder) / "whole", RECORDING)
    rclpy.try_shutdown()
    print(f"{RECORDING}: {sum(file.stat().st_size for file in RECORDING.iterdir()) / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
