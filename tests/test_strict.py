from dataclasses import dataclass
from typing import ClassVar, Literal

import pytest

from ami_robot.strict import StrictError, plain, read


@dataclass(frozen=True)
class Round:
    kind: ClassVar[str] = "round"
    radius: float

    def __post_init__(self):
        if not self.radius:
            raise StrictError("radius has to be > 0.")


@dataclass(frozen=True)
class Square:
    kind: ClassVar[str] = "square"
    sides: tuple[int, int]
    colour: Literal["red", "blue"] = "red"


@dataclass(frozen=True)
class Thing:
    shape: Round | Square
    count: int = 1


def test_the_kind_says_which_dataclass_and_the_first_needs_no_kind():
    assert read({"shape": {"radius": 2}}, Thing, "thing") == Thing(Round(2.0))
    assert read({"shape": {"kind": "square", "sides": [1, 2]}, "count": 3}, Thing, "thing") == Thing(Square((1, 2)), 3)


def test_what_is_written_is_read_again():
    for thing in (Thing(Round(0.5)), Thing(Square((3, 4), "blue"), 7)):
        assert read(plain(thing), Thing, "thing") == thing
    assert plain(Thing(Square((3, 4)))) == {"shape": {"kind": "square", "sides": [3, 4], "colour": "red"}, "count": 1}


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({}, "thing lacks shape"),
        ([], "thing has to be a mapping with the keys shape, count"),
        ({"shape": {"radius": 1}, "size": 2}, "thing has unknown keys size; known are shape, count"),
        ({"shape": {"kind": "star"}}, "thing: shape: kind has to be one of round, square, got 'star'"),
        ({"shape": {"kind": [1]}}, "kind has to be one of"),
        ({"shape": {"radius": "1"}}, "thing: shape: radius has to be a number >= 0"),
        ({"shape": {"radius": 0}}, "thing: shape: radius has to be > 0"),
        ({"shape": {"radius": 1}, "count": 1.5}, "thing: count has to be a whole number"),
        ({"shape": {"kind": "square", "sides": [1, 2, 3]}}, "thing: shape: sides has to be two whole numbers"),
        ({"shape": {"kind": "square", "sides": [1, 2], "colour": "grey"}}, "colour has to be one of red, blue"),
    ],
)
def test_anything_else_is_refused_in_a_sentence(data, sentence):
    with pytest.raises(StrictError, match=sentence):
        read(data, Thing, "thing")
