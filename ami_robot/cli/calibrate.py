"""`ami calibrate`: find a camera's or a world model's numbers, say how far to trust them, write them down."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ami_robot.cli.arguments import EXIT_STATUS, add_verb, count, positive_count

if TYPE_CHECKING:
    from ami_calibration.intrinsics import Intrinsics
    from ami_robot.safety.model_error import ModelErrorBound

EXAMPLES = f"""examples:
  ami calibrate intrinsics --images views/ --squares 7x5 --square-length 0.03 --marker-length 0.022 --out camera.yaml
  ami calibrate model-error --out model_error.yaml

`ami calibrate WHAT --help` explains each of them. {EXIT_STATUS}"""

INTRINSICS_EXAMPLES = """examples:
  ami calibrate intrinsics --images views/ --squares 7x5 --square-length 0.03 --marker-length 0.022 --out camera.yaml

Take 20 to 40 pictures of a printed board, still, in every part of the picture, near and far, tilted by 30 to 45 degrees
in all directions. Measure the printed squares with a calliper. A quarter of the pictures is held out to judge the fit.
The pose of the camera is not touched: it stays as --out has it, or as --pose-from has it for a new file."""

MODEL_ERROR_EXAMPLES = """examples:
  ami calibrate model-error --episodes 600 --seed 0 --out ami_robot/checkpoints/reach/model_error.yaml
  ami calibrate model-error push pick_lift --task push.yaml --checkpoint runs/training --out runs/model_error.yaml

Runs fresh episodes in simulation, about a second each, and compares what the world model imagines over the planner's
horizon with what then happens. The bound is for this checkpoint, guardrail file, agent and suites; change one of them
and calibrate again. The file that the task names as its model_error does not have to be there yet. The table's second
half is measured on episodes that the bound was not made from."""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Declare `ami calibrate intrinsics` and `ami calibrate model-error`."""
    parser = add_verb(subparsers, "calibrate", "find a camera's intrinsics, or the world model's error", EXAMPLES)
    kinds = parser.add_subparsers(dest="what", metavar="WHAT", required=True)
    intrinsics = add_verb(kinds, "intrinsics", "focal lengths, principal point, distortion", INTRINSICS_EXAMPLES)
    add = intrinsics.add_argument
    add("--images", type=Path, required=True, metavar="DIR", help="folder of pictures, all of one size")
    add("--squares", type=_squares, required=True, metavar="CxR", help="columns x rows, such as 7x5")
    add("--square-length", type=float, required=True, metavar="M", help="side of a square, m")
    add("--marker-length", type=float, required=True, metavar="M", help="side of a marker, m")
    add("--dictionary", default="4X4_50", metavar="NAME", help="marker dictionary (default %(default)s)")
    add("--out", type=Path, required=True, metavar="FILE", help="camera YAML to write or update")
    add("--pose-from", type=Path, metavar="FILE", help="camera YAML with the name and pose for a new --out")
    add("--no-distortion", action="store_true", help="hold distortion at zero: a rendered camera")
    intrinsics.set_defaults(calibrate=_intrinsics)
    about = "by how much plans have to allow for a wrong world model"
    model_error = add_verb(kinds, "model-error", about, MODEL_ERROR_EXAMPLES)
    add = model_error.add_argument
    add("suites", nargs="*", default=["reach"], metavar="SUITE", help="of `ami eval`, in turn (default reach)")
    add("--task", default="reach", metavar="TASK.yaml", help="the agent: a task file, or a shipped one (default reach)")
    add(
        "--episodes",
        type=positive_count,
        default=600,
        metavar="N",
        help="fresh simulated episodes (default %(default)s)",
    )
    add("--seed", type=count, default=0, metavar="S", help="another seed gives other scenes (default %(default)s)")
    add("--checkpoint", type=Path, metavar="DIR", help="folder of the checkpoint; by default the shipped one")
    add("--workers", type=positive_count, default=2, help="processes, at best one for each idle core (default 2)")
    add("--out", type=Path, required=True, metavar="FILE", help="YAML to write; the task file names it")
    model_error.set_defaults(calibrate=_model_error)


def run(args: argparse.Namespace) -> int:
    """Calibrate, print the table, write the file."""
    return args.calibrate(args)


def _intrinsics(args: argparse.Namespace) -> int:
    from ami_calibration.charuco import Board, find_views, read_images
    from ami_calibration.intrinsics import calibrate, calibrated_camera
    from ami_robot.perception.camera import FRONT_CAMERA, load_camera, save_camera

    board = Board(args.squares, args.square_length, args.marker_length, args.dictionary)
    before = load_camera(args.out if args.out.exists() else args.pose_from or FRONT_CAMERA)
    images = read_images(args.images)
    views, unusable = find_views(board, images)
    height, width = next(iter(images.values())).shape
    intrinsics = calibrate(views, (width, height), distortion=not args.no_distortion)
    columns, rows = board.squares
    drawn = f"ChArUco {columns}x{rows}, {1000 * board.square_length_m:g} mm squares, {board.dictionary}"
    save_camera(calibrated_camera(before, intrinsics, drawn), args.out)
    print(_table(intrinsics, unusable))
    print(f"\nwritten: {args.out}")
    return 0


def _model_error(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from ami_calibration.errors import CalibrationError
    from ami_calibration.model_error import calibrate, fewest_episodes, fewest_steps
    from ami_calibration.rollouts import Source, collect_rollouts
    from ami_robot.configurator.configurator import load_task, task_file
    from ami_robot.perception.block_head import BlockHead
    from ami_robot.perception.checkpoint import load_checkpoint, write_whole
    from ami_robot.perception.encoder import has_block_head
    from ami_robot.safety.kinematics import Kinematics
    from ami_robot.safety.model_error import dump_model_error
    from ami_robot.safety.spec import load_spec
    from ami_robot.world_model.model import LatentWorldModel
    from ami_sim.evaluation.suites import parse_suites

    spec, task, checkpoint = load_spec(), load_task(task_file(args.task)), load_checkpoint(args.checkpoint)
    suites = tuple(suite.name for suite in parse_suites(args.suites, with_shifts=False))
    if not task.uses_world_model:
        raise CalibrationError(f"--task {args.task} imagines nothing: its planner has no world model to calibrate.")
    if args.episodes < fewest_episodes(spec):
        raise CalibrationError(f"--episodes {args.episodes} is too few; at least {fewest_episodes(spec)} are needed.")
    source = Source(args.checkpoint, task_file(args.task), suites, fewest_steps(task.judged_steps))
    try:
        with tqdm(total=args.episodes, unit="episode", desc="collecting", smoothing=0.05) as bar:
            rollouts = collect_rollouts(source, args.episodes, args.seed, args.workers, bar.update)
        with tqdm(total=args.episodes, unit="episode", desc="imagining") as bar:
            bound = calibrate(
                rollouts,
                LatentWorldModel(checkpoint),
                checkpoint.sha256,
                task.judged_steps,
                spec,
                Kinematics(spec.robot),
                args.seed,
                suites,
                BlockHead(checkpoint) if has_block_head(checkpoint) else None,
                bar.update,
            )
    except KeyboardInterrupt:
        print("interrupted; nothing was written.", file=sys.stderr)
        return 130
    write_whole(args.out, dump_model_error(bound).encode())
    print(model_error_table(bound))
    print(f"\nwritten: {args.out}")
    return 0


def model_error_table(bound: ModelErrorBound) -> str:
    """The bound, and what the validation episodes say of it."""

    from ami_calibration.model_error import OBJECT

    def rate(of: dict) -> str:
        low, high = of["interval_95"]
        return f"{of['rate']:7.1%}  ({of['events']} of {of['of']}; 95 %: {low:.1%} to {high:.1%})"

    found, limits_m = bound.record["validation"], dict(bound.quantities_m)
    object_m = limits_m.pop(OBJECT, None)
    lines = [f"{name:>24} {100 * value:6.2f} cm" for name, value in limits_m.items()]
    lines += [
        f"{'all of these':>24} {100 * bound.bound_m:6.2f} cm, at 1 - {bound.miscoverage:g}, {bound.horizon} steps"
    ]
    lines += [f"{name:>24} left out: {reason}" for name, reason in bound.left_out.items()]
    lines += [f"{'covered, ' + name:>24} {rate(of)}" for name, of in found["coverage"].items()]
    if object_m is not None:
        lines += [f"{f'{OBJECT}, by itself':>24} {100 * object_m:6.2f} cm"]
        lines += [f"{'covered, ' + OBJECT:>24} {rate(found['coverage_by_quantity'][OBJECT])}"]
    lines += [
        f"{'false trips, ' + name:>24} {rate(found['false_trips'][name])}" for name in ("agent", "random_actions")
    ]
    shift = found["shift"]
    lines += [f"{'error x':>24} {shift['scale']} seen within {shift['trips_within_steps']} steps:"]
    lines += [
        f"{name:>24} {rate(shift[name])}; median {shift[name]['steps_median']:g}"
        for name in ("agent", "random_actions", "agent_in_pictures")
    ]
    return "\n".join(lines)


def _table(intrinsics: Intrinsics, unusable: list[str]) -> str:
    """What was found, picture by picture."""
    width = max(len(name) for name in intrinsics.view_errors_px)
    lines = [f"{'picture':<{width}}  RMS px  used for"]
    for name, error in sorted(intrinsics.view_errors_px.items()):
        lines.append(f"{name:<{width}}  {error:6.3f}  {'judging' if name in intrinsics.held_out else 'fitting'}")
    lines += [f"{name}: left out, too little of the board found" for name in unusable]
    (fx, _, cx), (_, fy, cy), _ = intrinsics.matrix
    for name, value in zip(("fx", "fy", "cx", "cy"), (fx, fy, cx, cy), strict=True):
        lines.append(f"{name:>12} {value:9.2f} px  +- {intrinsics.std[name]:.2f}")
    lines.append(f"{'distortion':>12} {' '.join(f'{value:.4f}' for value in intrinsics.distortion)}  (k1 k2 p1 p2 k3)")
    lines.append(f"{'coverage':>12} {intrinsics.coverage:9.0%}")
    lines.append(f"{'fitted':>12} {intrinsics.train_rms_px:9.3f} px RMS")
    lines.append(f"{'held out':>12} {intrinsics.held_out_rms_px:9.3f} px RMS")
    return "\n".join(lines)


def _squares(text: str) -> tuple[int, int]:
    """'7x5' as (7, 5)."""
    columns, _, rows = text.partition("x")
    if not (columns.isdigit() and rows.isdigit()):
        raise argparse.ArgumentTypeError(f"columns x rows, such as 7x5, not '{text}'")
    return int(columns), int(rows)
