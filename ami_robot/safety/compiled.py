"""Loops of the guardrail that Numba compiles: numpy spends most of a decision on calls, not on numbers.

A function is compiled for its one signature when its module is imported and kept on disk for the next time, so nothing
is compiled while the arm moves. Arrays are float64 and C-contiguous (`np.ascontiguousarray` makes them so for next to
nothing); another type is a TypeError, never another compilation. Floating point is IEEE's: no fast-math, and dividing
by zero gives inf or NaN as in numpy. What is kept on disk is known by its own file alone: a compiled function calls
none of another module.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba
from numba import types

F = TypeVar("F", bound=Callable[..., Any])

FLOAT, INTEGER, BOOLEAN, NOTHING = types.float64, types.int64, types.boolean, types.void


NOT_KEPT: set[str] = set()
"""Modules that are not what their file says, by which what is kept is known: mutants, for example."""


def array(dimensions: int, of: Any = FLOAT) -> Any:
    """The type of an array with so many dimensions, which may be read only."""
    return types.Array(of, dimensions, "C", readonly=True)


def made(dimensions: int, of: Any = FLOAT) -> Any:
    """The type of an array that a compiled function makes and returns, or writes into."""
    return types.Array(of, dimensions, "C")


def several(*results: Any) -> Any:
    """The type of several results at once."""
    return types.Tuple(results)


def compiled(result: Any, *arguments: Any) -> Callable[[F], F]:
    """Compile a function of arguments of these types, as `array` and `FLOAT`, to one that returns this type."""

    def compile_one(function: F) -> F:
        kept = function.__module__ not in NOT_KEPT
        return numba.njit(result(*arguments), cache=kept, error_model="numpy")(function)  # type: ignore[no-any-return]

    return compile_one
