"""How old is a picture, or a joint state, when another process has it in its hands, and is one lost on the way?

`OMP_NUM_THREADS=1 python -m benchmarks.image_path` takes a minute and a quarter on an idle machine and writes
benchmarks/results/image_path.json. Pictures of 640x480, rgb8, come at 30 Hz from the node of camera:=replay, joint
states at 250 Hz from that of arm:=loopback; one of the two at a time, to a reliable subscription in this process. The
age is the time from the stamp, which a node takes just before it publishes, to our callback, so all that is done with
the message on either side is in it. The exit status is 1 when a bar is not kept.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ami_robot.cli.demo import find_rclpy

RCLPY, LAUNCHER = find_rclpy()

import rclpy  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.serialization import serialize_message  # noqa: E402
from sensor_msgs.msg import CameraInfo, Image, JointState  # noqa: E402

from ami_nodes import qos  # noqa: E402
from ami_nodes.convert import to_camera_info_msg, to_image_msg, to_ns  # noqa: E402
from ami_nodes.demo_graph import Graph  # noqa: E402
from ami_nodes.recording_topics import definition, type_name  # noqa: E402
from ami_robot.episodes.recording import RecordingWriter  # noqa: E402
from ami_robot.perception.camera import load_camera  # noqa: E402
from ami_robot.provenance import made_with  # noqa: E402
from ami_robot.types import NS_PER_S  # noqa: E402
from benchmarks.own_domain import own_domain  # noqa: E402

RESULT = Path(__file__).parent / "results" / "image_path.json"
SECONDS, BRING_UP_S = 30, 60.0
WIDTH, HEIGHT = 640, 480
FRAMES = 30
"""In the recording, which is played round and round; the first byte of a picture is its number."""

LAUNCH = """<launch>
  <node pkg="ami_nodes" exec="{executable}" name="{node}" on_exit="shutdown">
    <param name="{parameter}" value="{value}"/>
  </node>
  <node pkg="ami_nodes" exec="lifecycle_manager" name="lifecycle_manager" on_exit="shutdown">
    <param name="node_names" value="[{node}]"/>
  </node>
</launch>
"""


class Stream(NamedTuple):
    """What is heard of one node, and the bars for it."""

    name: str
    executable: str
    node: str
    parameter: str
    message_class: Any
    topic: str
    hz: int
    number: Callable[[Any], int] | None  # of a message, modulo FRAMES, where it carries one
    bars: dict[str, float]  # figure -> the most it may be


PICTURES = Stream(
    "pictures, 640x480 rgb8", "replay_camera", "camera", "recording", Image, "camera/image_raw", 30,
    lambda message: message.data[0], {"lost": 0, "p50_ms": 2.0, "p99_ms": 20.0},
)  # fmt: skip
JOINT_STATES = Stream(
    "joint states", "loopback_arm", "arm", "rate_hz", JointState, "joint_states", 250, None, {"p99_ms": 5.0}
)


def main() -> int:
    """Listen to both, print a table and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=SECONDS, help="of each; default: %(default)s")
    parser.add_argument("--out", type=Path, default=RESULT, help="default: %(default)s")
    args = parser.parse_args()
    load = os.getloadavg()[0]
    with own_domain(), tempfile.TemporaryDirectory(prefix="ami_image_path_") as folder:
        recording = write_recording(Path(folder) / "recording")
        rows = [
            measure(PICTURES, str(recording), args.seconds, Path(folder)),
            measure(JOINT_STATES, f"{JOINT_STATES.hz:.1f}", args.seconds, Path(folder)),
        ]
    made = made_with("OMP_NUM_THREADS=1 python -m benchmarks.image_path", load)
    figures = made | {"rclpy": RCLPY, "streams": rows}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(figures, indent=2) + "\n")
    print(table(rows))
    return 0 if all(row["kept"] for row in rows) else 1


def write_recording(folder: Path) -> Path:
    """FRAMES numbered pictures of noise."""
    rng, camera = np.random.default_rng(0), load_camera().resized(WIDTH, HEIGHT)
    with RecordingWriter(folder) as writer:
        for topic, kind in (("/camera/image_raw", Image), ("/camera/camera_info", CameraInfo)):
            writer.add_topic(topic, type_name(kind), definition(kind))
        for number in range(FRAMES):
            picture = rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
            picture[0, 0, 0] = number
            stamp_ns = number * NS_PER_S // PICTURES.hz
            info, image = to_camera_info_msg(camera, stamp_ns), to_image_msg(picture, stamp_ns, camera.frame_id)
            writer.write("/camera/camera_info", serialize_message(info), stamp_ns)
            writer.write("/camera/image_raw", serialize_message(image), stamp_ns)
    return folder


def measure(stream: Stream, value: str, seconds: int, folder: Path) -> dict[str, Any]:
    """The figures of a stream over so many seconds of it, from the first message that is heard."""
    launch_file, log = folder / f"{stream.node}.launch.xml", folder / f"{stream.node}.log"
    given = {"executable": stream.executable, "node": stream.node, "parameter": stream.parameter, "value": value}
    launch_file.write_text(LAUNCH.format(**given))
    heard: list[tuple[int, int, int]] = []  # when, ns; its stamp, ns; its number

    def on_message(message: Any) -> None:
        now_ns = time.time_ns()
        heard.append((now_ns, to_ns(message.header.stamp), stream.number(message) if stream.number else 0))

    node, executor = rclpy.create_node("image_path"), SingleThreadedExecutor()
    executor.add_node(node)
    node.create_subscription(stream.message_class, stream.topic, on_message, qos.EVENTS)
    try:
        with Graph(LAUNCHER, {}, log, [str(launch_file)]) as graph:
            give_up_s = time.monotonic() + BRING_UP_S + 2 * seconds
            while len(heard) < seconds * stream.hz:
                executor.spin_once(timeout_sec=1.0)
                graph.check()
                if time.monotonic() > give_up_s:
                    raise RuntimeError(f"{len(heard)} {stream.name} were heard in time, not {seconds * stream.hz}.")
    finally:
        executor.shutdown()
        node.destroy_node()
    return _figures(stream, np.array(heard))


def _figures(stream: Stream, heard: np.ndarray) -> dict[str, Any]:
    """(N, 3): when, its stamp, its number."""
    ages_ms = (heard[:, 0] - heard[:, 1]) / 1e6
    figures = {
        "name": stream.name,
        "messages": len(heard),
        "hz": round((len(heard) - 1) / float(np.ptp(heard[:, 1])) * NS_PER_S, 2),
        "lost": int(((np.diff(heard[:, 2]) - 1) % FRAMES).sum()) if stream.number else None,
        "p50_ms": round(float(np.percentile(ages_ms, 50)), 3),
        "p99_ms": round(float(np.percentile(ages_ms, 99)), 3),
        "worst_ms": round(float(ages_ms.max()), 3),
        "bars": stream.bars,
    }
    return figures | {"kept": all(figures[name] <= most for name, most in stream.bars.items())}


def table(rows: list[dict[str, Any]]) -> str:
    """For people."""
    lines = [
        "| stream | messages | Hz | lost | p50 ms | p99 ms | worst ms | bars |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        bars = ", ".join(f"{name} <= {most:g}" for name, most in row["bars"].items())
        lost = "not known" if row["lost"] is None else row["lost"]
        lines.append(
            f"| {row['name']} | {row['messages']} | {row['hz']} | {lost} | {row['p50_ms']} | {row['p99_ms']} | "
            f"{row['worst_ms']} | {bars}: {'kept' if row['kept'] else 'not kept'} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
