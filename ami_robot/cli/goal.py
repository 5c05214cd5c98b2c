"""`ami goal`: make a goal file of a picture, a position, a scene, or the frames of a demonstration."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ami_robot.cli.arguments import add_verb, count, positive_count

VIEWS = ("front", "close")

EXAMPLES = """examples:
  ami goal picture --image table.png --out goal.npz
  ami goal picture --image table.png --camera camera.yaml --out goal.npz
  ami goal scene --seed 7 --out goal.npz
  ami goal scene --task push --seed 7 --view close --out goal.npz
  ami goal pose 0.5 0.1 0.2 --out goal.npz
  ami goal pose --block 0.5 0.1 0.02 --out goal.npz
  ami goal demonstration --data data/reach --episode 3 --every 8 --out goal.npz"""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Declare the verb and its kinds."""
    parser = add_verb(
        subparsers, "goal", "make a goal file of a picture, a scene, a position or a demonstration", EXAMPLES
    )
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)
    picture = kinds.add_parser("picture", help="what a picture of the table shows")
    picture.add_argument("--image", type=Path, required=True, help="a file that OpenCV reads; square without --camera")
    picture.add_argument("--camera", type=Path, help="YAML of the camera that took it instead of the one that ships")
    scene = kinds.add_parser("scene", help="what the simulated camera would see at the goal of a scene")
    scene.add_argument("--task", default="reach", help="whose scene and goal these are (default %(default)s)")
    scene.add_argument("--seed", type=count, required=True, help="of the scene")
    for kind in (picture, scene):
        kind.add_argument("--view", choices=VIEWS, default="front", help="that the encoder takes (default %(default)s)")
    pose = kinds.add_parser("pose", help="hand here, block there: positions in base_link")
    pose.add_argument("position_m", type=float, nargs="*", metavar="X Y Z", help="of the tool, m; none: anywhere")
    pose.add_argument("--block", type=float, nargs=3, metavar=("X", "Y", "Z"), help="of the block, m")
    shown = kinds.add_parser("demonstration", help="frames of a recorded episode, one after the other")
    shown.add_argument("--data", type=Path, required=True, help="folder that `ami collect` filled")
    shown.add_argument("--episode", type=count, required=True, help="number of the episode in it, from 0")
    shown.add_argument("--every", type=positive_count, default=8, help="frames from one step to the next (default 8)")
    for kind in (picture, scene, pose, shown):
        kind.add_argument("--out", type=Path, required=True, help="the goal file, .npz")


def run(args: argparse.Namespace) -> int:
    """Make it; returns the exit code. Errors of the user are raised as one of our own types."""
    from ami_robot.episodes.goals import GoalError, write_goal

    if args.out.suffix != ".npz":
        raise GoalError(f"--out {args.out} has to end in .npz")
    makers = {"picture": _picture, "scene": _scene, "pose": _pose, "demonstration": _demonstration}
    goal = makers[args.kind](args)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    write_goal(args.out, goal)
    print(f"goal of {len(goal)} step(s) in {args.out}")
    return 0


def _picture(args: argparse.Namespace):
    import cv2
    import numpy as np

    from ami_robot.episodes.goals import GoalError
    from ami_robot.perception.camera import load_camera

    image = cv2.imread(str(args.image), cv2.IMREAD_COLOR)
    if image is None:
        raise GoalError(f"--image {args.image} is not there or no picture that OpenCV reads")
    camera = load_camera(args.camera) if args.camera else load_camera()
    if args.camera is None and image.shape[0] == image.shape[1]:
        camera = camera.resized(image.shape[1], image.shape[0])
    return _seen(np.ascontiguousarray(image[..., ::-1]), camera, args.view)


def _scene(args: argparse.Namespace):
    from ami_robot.episodes.goals import GoalError
    from ami_robot.perception.view import training_camera
    from ami_sim.tasks import TASKS

    if args.task not in TASKS:
        raise GoalError(f"--task {args.task} is none of {', '.join(TASKS)}")
    camera = training_camera(_preprocessing_id(args.view))
    return _seen(TASKS[args.task](args.seed).goal_image(camera), camera, args.view)


def _pose(args: argparse.Namespace):
    import numpy as np

    from ami_robot.episodes.goals import GoalError, ShownGoal

    if len(args.position_m) not in (0, 3):
        raise GoalError(f"a position of the tool has three numbers, X Y Z, got {len(args.position_m)}")
    said = {"tool_positions": args.position_m, "block_positions": args.block}
    positions: dict[str, Any] = {name: np.array([position]) for name, position in said.items() if position}
    return ShownGoal(**positions)


def _demonstration(args: argparse.Namespace):
    import numpy as np

    from ami_robot.episodes.goals import GoalError, ShownGoal
    from ami_robot.episodes.shards import EpisodeSet
    from ami_robot.perception.view import view_of_data

    number, data = args.episode, EpisodeSet.open(args.data)
    for shard in data.shards():
        if number < len(shard["images"]):
            frames = shard["images"][number]
            chosen = np.unique([*range(args.every, len(frames), args.every), len(frames) - 1])
            return ShownGoal(pictures=frames[chosen], preprocessing_id=view_of_data(data.manifest))
        number -= len(shard["images"])
    raise GoalError(f"--episode {args.episode} is beyond the last of {args.episode - number} episodes in {args.data}")


def _seen(image, camera, view: str):
    """The goal that an image of a camera shows."""
    from ami_robot.episodes.goals import ShownGoal
    from ami_robot.perception.view import TrainingView, training_camera

    preprocessing_id = _preprocessing_id(view)
    pictures = TrainingView(camera, training_camera(preprocessing_id))(image)[None]
    return ShownGoal(pictures=pictures, preprocessing_id=preprocessing_id)


def _preprocessing_id(view: str) -> str:
    from ami_robot.perception.view import CLOSE_VIEW, FRONT_VIEW

    return dict(zip(VIEWS, (FRONT_VIEW, CLOSE_VIEW), strict=True))[view]
