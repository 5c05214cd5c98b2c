"""Message classes, their bytes on the wire, and their type hashes against published or rclpy-made values."""

import copy
import random
from array import array

import numpy as np
import pytest
from ami_interfaces.action import PursueGoal
from ami_interfaces.msg import ProposedCommand
from ami_interfaces.srv import EncodeImage
from core import running
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped, Quaternion
from hypothesis import given
from hypothesis import strategies as st
from rcl_interfaces.msg import ParameterValue
from rcl_interfaces.srv import SetParameters
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, get_typestore
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import Float64MultiArray, String
from std_srvs.srv import Trigger
from unique_identifier_msgs.msg import UUID

from ami_embedded import interfaces, messages

pytestmark = pytest.mark.embedded


@pytest.mark.parametrize(
    ("name", "rihs01"),
    [
        # as `ros2 topic info -v` of Jazzy shows it
        ("std_msgs/msg/String", "df668c740482bbd48fb39d76a70dfd4bd59db1288021743503259e948f6b1a18"),
        # as rmw_zenoh documents it
        ("example_interfaces/srv/AddTwoInts", "e118de6bf5eeb66a2491b5bda11202e7b68f198d6f67922cf30364858239c81a"),
    ],
)
def test_type_hashes_are_those_of_rosidl(name, rihs01, tmp_path, monkeypatch):
    service = tmp_path / "example_interfaces" / "srv" / "AddTwoInts.srv"
    service.parent.mkdir(parents=True)
    service.write_text("int64 a\nint64 b\n---\nint64 sum\n")
    monkeypatch.setattr(interfaces, "roots", lambda: (tmp_path,))
    assert interfaces.type_hash(name) == f"RIHS01_{rihs01}"


def test_char_is_hashed_as_uint8():
    field = interfaces._type_description("rmw_dds_common/msg/Gid")["fields"][0]
    assert field["type"]["type_id"] == 48 + 3


def test_string_is_written_as_rmw_writes_it():
    assert interfaces.serialize(String(data="hi")) == b"\x00\x01\x00\x00\x03\x00\x00\x00hi\x00"


def test_a_service_request_without_fields_is_one_octet():
    assert interfaces.serialize(Trigger.Request()) == b"\x00\x01\x00\x00\x00"


@pytest.mark.parametrize(
    "name", ["sensor_msgs/msg/CameraInfo", "rcl_interfaces/msg/ParameterEvent", "sensor_msgs/msg/Image"]
)
def test_bytes_equal_those_of_an_independent_writer(name):
    """rosbags' own classes and store, which the reference compared with rclpy's bytes."""
    store = get_typestore(Stores.ROS2_JAZZY)
    ours = messages.message_class(name)()
    if name.endswith("CameraInfo"):
        ours.k, ours.d, ours.distortion_model = np.arange(9.0), [0.5, 0.25], "plumb_bob"
    elif name.endswith("Image"):
        ours.data, ours.encoding = bytes(range(7)), "rgb8"
    theirs = store.deserialize_cdr(bytes(interfaces.serialize(ours)), name)
    assert bytes(store.serialize_cdr(theirs, name)) == interfaces.serialize(ours)


@given(st.lists(st.floats(allow_nan=False), max_size=20), st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_every_joint_state_survives_the_wire(positions, names):
    names = [n.replace("\0", "") for n in names]
    sent = JointState(name=names, position=positions)
    assert interfaces.deserialize(interfaces.serialize(sent), "sensor_msgs/msg/JointState") == sent


def test_every_bundled_interface_can_be_written_read_and_hashed():
    for package in ("ami_interfaces", "std_srvs", "rcl_interfaces", "lifecycle_msgs", "action_msgs"):
        for kind, stems in interfaces.names(package).items():
            for stem in stems:
                made = messages.interface_class(f"{package}/{kind}/{stem}")
                assert interfaces.type_hash(f"{package}/{kind}/{stem}").startswith("RIHS01_")
                parts = [made] if kind == "msg" else [v for v in vars(made).values() if hasattr(v, "_fields")]
                for part in parts:
                    assert interfaces.deserialize(interfaces.serialize(part()), part._type_name) == part()


def test_defaults_and_constants_are_those_of_the_definition():
    assert (Quaternion().w, Quaternion().x) == (1.0, 0.0)
    assert (ProposedCommand.TRAJECTORY, PursueGoal.Result.DONE) == (1, "done")
    assert (DiagnosticStatus.OK, DiagnosticStatus.STALE) == (b"\x00", b"\x03"), "a byte is bytes, as in rosidl"
    assert type(EncodeImage.Response().latent).__name__ == "Latent"


def test_fields_have_rclpys_python_types():
    info = interfaces.deserialize(interfaces.serialize(CameraInfo(d=[1, 2])), "sensor_msgs/msg/CameraInfo")
    assert isinstance(info.d, array) and info.d == array("d", [1, 2])
    assert isinstance(info.k, np.ndarray) and info.k.shape == (9,)
    value = ParameterValue(bool_array_value=[True, False], byte_array_value=[b"\x01", b"\xff"])
    again = interfaces.deserialize(interfaces.serialize(value), "rcl_interfaces/msg/ParameterValue")
    assert again == value and again.byte_array_value == [b"\x01", b"\xff"] and again.bool_array_value == [True, False]


@pytest.mark.parametrize("given_as", [bytes, bytearray, np.uint8, lambda v: array("B", v), list])
def test_image_data_is_taken_from_any_sequence_of_bytes(given_as):
    pixels = np.arange(12, dtype=np.uint8)
    data = pixels.reshape(2, 2, 3) if given_as is np.uint8 else given_as(pixels.tobytes())
    assert bytes(Image(data=data).data) == pixels.tobytes()


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: JointState(velocities=[1.0]), TypeError),
        (lambda: JointState(name="panda"), TypeError),
        (lambda: JointState(position=["a"]), TypeError),
        (lambda: Image(data=np.zeros(3)), TypeError),
        (lambda: Image(height=-1), ValueError),
        (lambda: Image(height=1.0), TypeError),
        (lambda: PoseStamped(pose=Quaternion()), TypeError),
        (lambda: Quaternion(w=1), TypeError),
        (lambda: UUID(uuid=[1, 2]), ValueError),
    ],
)
def test_a_wrong_value_is_refused_where_it_is_assigned(make, error):
    with pytest.raises(error):
        make()


def test_messages_copy_compare_and_print_as_in_rclpy():
    message = Float64MultiArray(data=[1.0])
    assert copy.deepcopy(message) == message and message != Float64MultiArray(data=[2.0])
    assert repr(String(data="hi")) == "std_msgs.msg.String(data='hi')"
    assert JointState.get_fields_and_field_types()["position"] == "sequence<double>"


def test_a_received_message_owns_its_memory():
    buffer = interfaces.serialize(Image(data=b"abc"))
    message = interfaces.deserialize(buffer, "sensor_msgs/msg/Image")
    buffer[:] = bytes(len(buffer))  # raises BufferError if a view of it were still alive
    buffer.clear()
    assert bytes(message.data) == b"abc"


def test_bytes_that_are_no_message_raise_one_error_only():
    good = interfaces.serialize(JointState(name=["a", "b"], position=[1.0, 2.0]))
    shuffle = random.Random(0)
    refused = 0
    for _ in range(3000):
        bad = bytearray(good[: shuffle.randrange(len(good) + 1)])
        for _ in range(shuffle.randrange(4)):
            if bad:
                bad[shuffle.randrange(len(bad))] = shuffle.randrange(256)
        try:
            interfaces.deserialize(bad, "sensor_msgs/msg/JointState")
        except SerdeError:
            refused += 1
    assert refused > 1000


def test_an_unknown_interface_is_named():
    with pytest.raises(ImportError, match="Nonsense"):
        from std_msgs.msg import Nonsense  # noqa: F401
    with pytest.raises(interfaces.InterfaceError, match=r"no Nonsense\.msg in std_msgs"):
        messages.interface_class("std_msgs/msg/Nonsense")


@pytest.mark.parametrize("level", [b"\x00", b"\x03", b"\x7f", b"\x80", b"\xff"])
def test_a_byte_is_bytes_on_both_sides_of_the_wire(level):
    status = DiagnosticStatus(level=level, name="arm")
    again = interfaces.deserialize(interfaces.serialize(status), "diagnostic_msgs/msg/DiagnosticStatus")
    assert again == status
    assert again.level == level
    assert DiagnosticStatus().level == b"\x00"


def test_an_empty_interface_has_no_fields_to_its_users():
    """On the wire it is one octet, of which rosidl's Python says nothing."""
    assert Trigger.Request.get_fields_and_field_types() == {}
    assert Trigger.Response.get_fields_and_field_types() == {"success": "boolean", "message": "string"}


@pytest.mark.parametrize(
    ("interface", "make"),
    [
        (DiagnosticArray, lambda node, kind, name: node.create_publisher(kind, name, 1)),
        (DiagnosticArray, lambda node, kind, name: node.create_subscription(kind, name, print, 1)),
        (SetParameters, lambda node, kind, name: node.create_service(kind, name, print)),
        (SetParameters, lambda node, kind, name: node.create_client(kind, name)),
    ],
    ids=["publisher", "subscription", "service", "client"],
)
def test_no_callback_waits_until_the_code_of_a_first_message_is_generated(interface, make, monkeypatch):
    with running() as (node, _):
        monkeypatch.setattr(interfaces.store, "cache", {})
        make(node, interface, "here")
        known = set(interfaces.store.cache)
    parts = {
        DiagnosticArray: {"DiagnosticArray", "DiagnosticStatus", "KeyValue", "Header", "Time"},
        SetParameters: {"SetParameters_Request", "SetParameters_Response", "Parameter", "SetParametersResult"},
    }
    assert parts[interface] <= {name.rpartition("/")[2] for name in known}
