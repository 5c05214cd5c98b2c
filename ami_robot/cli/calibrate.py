"""`ami calibrate`: find a camera's numbers from pictures, say how far to trust them, write them down."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ami_calibration.intrinsics import Intrinsics

EXAMPLE = """example:
  ami calibrate intrinsics --images views/ --squares 7x5 --square-length 0.03 --marker-length 0.022 --out camera.yaml

Take 20 to 40 pictures of a printed board, still, in every part of the picture, near and far, tilted by 30 to 45 degrees
in all directions. Measure the printed squares with a calliper. A quarter of the pictures is held out to judge the fit.
The pose of the camera is not touched: it stays as --out has it, or as --pose-from has it for a new file."""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Declare `ami calibrate intrinsics`."""
    parser = subparsers.add_parser("calibrate", help="find a camera's intrinsics from pictures of a ChArUco board")
    kinds = parser.add_subparsers(dest="what", metavar="WHAT", required=True)
    intrinsics = kinds.add_parser(
        "intrinsics", help="focal lengths, principal point, distortion", epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = intrinsics.add_argument
    add("--images", type=Path, required=True, metavar="DIR", help="folder of pictures, all of one size")
    add("--squares", type=_squares, required=True, metavar="CxR", help="columns x rows, such as 7x5")
    add("--square-length", type=float, required=True, metavar="M", help="side of a square, m")
    add("--marker-length", type=float, required=True, metavar="M", help="side of a marker, m")
    add("--dictionary", default="4X4_50", metavar="NAME", help="marker dictionary (default %(default)s)")
    add("--out", type=Path, required=True, metavar="FILE", help="camera YAML to write or update")
    add("--pose-from", type=Path, metavar="FILE", help="camera YAML with the name and pose for a new --out")
    add("--no-distortion", action="store_true", help="hold distortion at zero: a rendered camera")


def run(args: argparse.Namespace) -> int:
    """Calibrate, print the table, write the camera file."""
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
