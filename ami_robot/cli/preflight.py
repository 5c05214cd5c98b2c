"""`ami preflight`: before a launch, everything that can be known to be wrong with it; nothing is moved."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ami_robot.cli.arguments import add_verb, positive_number_of

if TYPE_CHECKING:
    from ami_embedded.launch_description import Process
    from ami_nodes.preflight import Row
    from ami_nodes.preflight_domain import Lookout
    from ami_nodes.preflight_rehearsal import Launched, Tried

EXAMPLES = """examples:
  ami preflight                                            the graph on the simulated arm
  ami preflight arm:=loopback vision:=false config:=analytic
  ami preflight arm:=loopback camera:=v4l2 device:=/dev/video0 camera_file:=my_camera.yaml --calibration-days 30
  ami preflight record:=true record_folder:=runs/bag --minutes 30

Exit status: 0 nothing is wrong, 1 a fault was found, 2 wrong usage."""

COLUMN = len("shared memory")
FOR_OTHER_HOSTS = ("SUBNET", "SYSTEM_DEFAULT")
"""Values of ROS_AUTOMATIC_DISCOVERY_RANGE by which somebody asks for nodes of other hosts."""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Declare `ami preflight`."""
    parser = add_verb(subparsers, "preflight", "find what is wrong with a launch before anything moves", EXAMPLES)
    add = parser.add_argument
    add("arguments", nargs="*", metavar="name:=value", help="launch arguments, as they will be given to the launch")
    add("--launch-file", type=Path, metavar="F", help="launch file instead of bringup.launch.xml of ami_bringup")
    add(
        "--calibration-days", type=positive_number_of("days"), default=90.0, metavar="D",
        help="greatest age of the calibration of a camera that is a device (default %(default)g)",
    )  # fmt: skip
    add(
        "--minutes",
        type=positive_number_of("minutes"),
        default=60.0,
        metavar="M",
        help="of recording to have room for (default 60)",
    )


def run(args: argparse.Namespace) -> int:
    """Print a line for each check as it is done; 1 when one found a fault."""
    from ami_embedded.launch import read_given
    from ami_embedded.launch_packages import Packages
    from ami_nodes.preflight import FAIL

    given = read_given(args.arguments)
    path = args.launch_file or Packages().share("ami_bringup") / "launch" / "bringup.launch.xml"
    faults = 0
    print(f"{'check':<{COLUMN}}  verdict  sentence")
    for row in _rows(path.resolve(), given, args.calibration_days, args.minutes):
        print(f"{row.check:<{COLUMN}}  {row.verdict:<7}  {row.sentence}", flush=True)
        faults += row.verdict == FAIL
    print(f"\n{faults or 'no'} fault{'' if faults == 1 else 's'} found.")
    return 1 if faults else 0


def _rows(path: Path, given: Mapping[str, str], max_age_days: float, minutes: float) -> Iterator[Row]:
    """The table. What the nodes themselves can say comes from a rehearsal of each."""
    from ami_embedded import finder
    from ami_embedded.launch_description import describe
    from ami_embedded.launch_errors import LaunchError
    from ami_nodes.preflight import FAIL, OK, Row, judged

    embedded = finder.install()
    try:
        processes = describe(path, given).processes
        whole = describe(path, {name: value for name, value in given.items() if name != "part"}).processes
    except LaunchError as error:
        yield Row("launch", FAIL, f"{error}; nothing else was looked at.")
        return
    yield Row("launch", OK, f"{path} starts {', '.join(process.label for process in processes)}.")

    from ami_nodes import preflight_camera, preflight_files, preflight_machine
    from ami_nodes.preflight_rehearsal import check_nodes, rehearse

    tried = rehearse([_launched(process) for process in processes])
    ours = {process.label for process in processes}
    elsewhere = rehearse([_launched(process) for process in whole if process.label not in ours])
    yield from judged("parameters", lambda: _check_parameters(path, given, processes, tried))
    yield from judged("nodes", lambda: check_nodes(tried))
    asked = os.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "").upper() in FOR_OTHER_HOSTS
    yield from _graph_rows(tried, elsewhere, asked)
    looks = {
        "guardrails": lambda: preflight_files.check_guardrail_file(tried),
        "task": lambda: preflight_files.check_task(tried),
        "checkpoint": lambda: preflight_files.check_checkpoint(tried),
        "model error": lambda: preflight_files.check_model_error(tried),
        "camera file": lambda: preflight_camera.check_camera_file(tried, max_age_days),
        "view": lambda: preflight_camera.check_view(tried),
        "device": lambda: preflight_camera.check_device(tried),
        "recording": lambda: preflight_machine.check_recording(tried, minutes),
        "shared memory": lambda: preflight_machine.check_shared_memory(embedded),
        "clock": lambda: preflight_machine.check_clock(asked),
    }
    for check, look in looks.items():
        yield from judged(check, look)


def _graph_rows(tried: Sequence[Tried], elsewhere: Sequence[Tried], other_hosts: bool) -> Iterator[Row]:
    """Those that need the domain, too: who is there already, and whether all fit together, the other half included."""
    from ami_embedded.domain import domain_id
    from ami_nodes.preflight import Skipped, judged
    from ami_nodes.preflight_domain import Lookout, check_domain, check_other_clocks
    from ami_nodes.preflight_endpoints import check_topics
    from ami_nodes.preflight_files import guardrails
    from ami_nodes.preflight_robot import check_robot

    everybody = [*tried, *elsewhere]
    with ExitStack() as until_the_end:
        lookouts: list[Lookout] = []

        def check_network() -> str:
            reach = _discovery_range()
            lookouts.append(until_the_end.enter_context(Lookout(_namespace(tried))))
            return f"domain {domain_id()} can be joined; the discovery range is {reach}."

        def in_domain(look: Callable[[Lookout], str]) -> str:
            if not lookouts:
                raise Skipped("the domain cannot be joined.")
            return look(lookouts[0])

        def topics() -> str:
            if names := ", ".join(one.label for one in everybody if not one.whole):
                raise Skipped(f"not every node can be brought up here: {names}.")
            return check_topics([end for one in everybody for end in one.endpoints], there, _topics_needed(tried))

        yield from judged("network", check_network)
        there = lookouts[0].others() if lookouts else []
        yield from judged("domain", lambda: in_domain(lambda _: check_domain(tried, elsewhere, there, domain_id())))
        yield from judged("topics", topics)
        yield from judged("robot", lambda: in_domain(lambda lookout: check_robot(everybody, lookout)))

        def other_clocks(lookout: Lookout) -> str:
            if not other_hosts:
                raise Skipped("all nodes are on this host (ROS_AUTOMATIC_DISCOVERY_RANGE).")
            return check_other_clocks(lookout, there, guardrails(tried).staleness.future_s)

        yield from judged("other clocks", lambda: in_domain(other_clocks))


def _launched(process: Process) -> Launched:
    """What of a process the rehearsal needs."""
    from ami_nodes.preflight_rehearsal import Launched

    target, *arguments = process.command[process.command.index("ami_embedded.run") + 1 :]
    return Launched(process.label, target.partition(":")[0], arguments, process.environment)


def _discovery_range() -> str:
    """How far is listened. Raises ValueError."""
    from ami_embedded.domain import discovery_range

    if (reach := discovery_range()) == "OFF":
        raise ValueError("ROS_AUTOMATIC_DISCOVERY_RANGE is OFF, so no node hears another; set LOCALHOST or SUBNET.")
    return reach


def _check_parameters(
    path: Path, given: Mapping[str, str], processes: Sequence[Process], tried: Sequence[Tried]
) -> str:
    """What the nodes say of theirs, and sections of parameter files that mean a node that is not launched, or none."""
    from ami_embedded.launch_description import list_executables
    from ami_embedded.parameter_files import matches, read_parameter_file
    from ami_nodes.preflight import FaultError

    sentences = [f"{one.label}: {one.parameter_fault}" for one in tried if one.parameter_fault]
    executables, space = list_executables(path, given), _namespace(tried).rstrip("/")
    words = [word for process in processes for word in process.command]
    files = {Path(value) for option, value in pairwise(words) if option == "--params-file"}
    for file in sorted(files):
        for pattern, values in read_parameter_file(file):
            meant = sorted(name for name in executables if matches(pattern, f"{space}/{name}"))
            if not meant:
                names = ", ".join(sorted(executables))
                sentences.append(f"{file}: {pattern} is no node that {path.name} can start; there are {names}.")
            absent = (name for name in meant if f"{space}/{name}" not in {one.node for one in tried})
            refusals = {name: _refusal(values, executables[name]) for name in absent}
            sentences += [f"{file}: {name}: {refusal}" for name, refusal in refusals.items() if refusal]
    if sentences:
        raise FaultError(*sentences)
    return f"those of {len(tried)} nodes and {', '.join(map(str, sorted(files))) or 'no file'} are known and in range."


def _refusal(values: Mapping[str, Any], executables: set[str]) -> str:
    """Why none of the nodes that go by one name takes these parameters; they are not launched now."""
    from ami_nodes.parameters import ParameterError, checked_values
    from ami_nodes.reference import NODES, node_class

    refusals = []
    for executable in sorted(executables):
        try:
            if executable in NODES:
                checked_values(values, node_class(executable).PARAMETERS)
            return ""
        except ImportError:
            return ""  # a machine that cannot run it, PyBullet's for example, cannot say
        except ParameterError as error:
            refusals.append(str(error))
    return refusals[-1]


def _namespace(tried: Sequence[Tried]) -> str:
    """The namespace of the nodes."""
    return next((one.node.rpartition("/")[0] for one in tried if one.node), "") or "/"


def _topics_needed(tried: Sequence[Tried]) -> tuple[str, ...]:
    """Where the guardrail file says that people are asked on a topic, somebody has to speak there."""
    from ami_nodes.preflight import Skipped
    from ami_nodes.preflight_files import guardrails

    try:
        return ("people",) if guardrails(tried).people.source_of_people == "topic" else ()
    except Skipped:
        return ()
