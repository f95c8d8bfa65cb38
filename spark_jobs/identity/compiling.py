"""Functions that numba compiles, with their types kept; workers alone import what uses it: loading takes its time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

_Function = TypeVar("_Function", bound=Callable[..., object])


def compiled(function: _Function) -> _Function:
    """The function as machine code, which is kept in a file: the next process need not make it again."""
    return cast("_Function", numba.njit(cache=True)(function))
