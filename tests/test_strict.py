from dataclasses import dataclass
from typing import ClassVar, Literal

import pytest

from ami_robot.strict import StrictError, plain, read, read_file


@dataclass(frozen=True)
class Round:
    kind: ClassVar[str] = "round"
    radius: float

    def __post_init__(self):
        if not self.radius:
            raise ValueError("radius has to be > 0.")


@dataclass(frozen=True)
class Square:
    kind: ClassVar[str] = "square"
    sides: tuple[int, int]
    colour: Literal["red", "blue"] = "red"


@dataclass(frozen=True)
class Thing:
    shape: Round | Square
    count: int = 1
    hollow: bool = False


def test_the_kind_says_which_dataclass_and_the_first_needs_no_kind():
    assert read({"shape": {"radius": 2}}, Thing, "thing") == Thing(Round(2.0))
    assert read({"shape": {"kind": "square", "sides": [1, 2]}, "count": 3}, Thing, "thing") == Thing(Square((1, 2)), 3)


def test_what_is_written_is_read_again():
    for thing in (Thing(Round(0.5)), Thing(Square((3, 4), "blue"), 7, True)):
        assert read(plain(thing), Thing, "thing") == thing
    assert plain(Thing(Square((3, 4)))) == {
        "shape": {"kind": "square", "sides": [3, 4], "colour": "red"},
        "count": 1,
        "hollow": False,
    }


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({}, "thing lacks shape"),
        ([], "thing has to be a mapping with the keys shape, count, hollow"),
        ({"shape": {"radius": 1}, "size": 2}, "thing has unknown keys size; known are shape, count, hollow"),
        ({"shape": {"kind": "star"}}, "thing: shape: kind has to be one of round, square, got 'star'"),
        ({"shape": {"kind": [1]}}, "kind has to be one of"),
        ({"shape": {"radius": "1"}}, "thing: shape: radius has to be a number >= 0"),
        ({"shape": {"radius": -1}}, "thing: shape: radius has to be a number >= 0, written with a point, got -1"),
        ({"shape": {"radius": float("nan")}}, "radius has to be a number >= 0"),
        ({"shape": {"radius": 1}, "count": True}, "count has to be a whole number"),
        ({"shape": {"radius": 1}, "hollow": 1}, "thing: hollow has to be true or false, got 1"),
        ({"shape": {"radius": 0}}, "thing: shape: radius has to be > 0"),
        ({"shape": {"radius": 1}, "count": 1.5}, "thing: count has to be a whole number"),
        ({"shape": {"kind": "square", "sides": [1, 2, 3]}}, "thing: shape: sides has to be two whole numbers"),
        ({"shape": {"kind": "square", "sides": [1, 2], "colour": "grey"}}, "colour has to be one of red, blue"),
    ],
)
def test_anything_else_is_refused_in_a_sentence(data, sentence):
    with pytest.raises(StrictError, match=sentence):
        read(data, Thing, "thing")


def test_a_file_is_read_whole(tmp_path):
    path = tmp_path / "thing.yaml"
    path.write_text("shape: {kind: square, sides: [1, 2]}\nhollow: true\n")
    assert read_file(path, Thing) == Thing(Square((1, 2)), hollow=True)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot read .*thing.yaml: No such file"),
        (b"a: [", "thing.yaml is not YAML"),
        (b"\xff\xfe\xff", "thing.yaml is not YAML"),
        (b"[" * 2000, "thing.yaml is not YAML"),
        (b"- a", "thing.yaml has to be a mapping of keys to values"),
        (b"", "thing.yaml has to be a mapping of keys to values"),
        (b"shape: {radius: 0}", "thing.yaml: shape: radius has to be > 0"),
    ],
)
def test_a_file_that_is_none_is_refused_in_a_sentence_of_one_line(tmp_path, content, sentence):
    path = tmp_path / "thing.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StrictError, match=sentence) as caught:
        read_file(path, Thing)
    assert "\n" not in str(caught.value)
