"""Names for arrays and their shapes.

`Annotated[Array, Shape("steps paths")]` is an array to a type checker, and
the tests check the shape while the engine runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import jax
import jax.typing
import numpy as np
import numpy.typing as npt

__all__ = ["Array", "ArrayLike", "Numbers", "Shape"]

Array: TypeAlias = jax.Array | np.ndarray
"""an array, on a device or on the host, traced or not"""
ArrayLike: TypeAlias = jax.typing.ArrayLike
"""what becomes an array: a number, an array of either kind"""
Numbers: TypeAlias = jax.typing.ArrayLike | npt.ArrayLike
"""what a public function takes for numbers: one, a list, a column of a frame, an array of either kind"""


@dataclass(frozen=True)
class Shape:
    """The dimensions of an array by name, apart by spaces.

    A name stands for one size throughout a call; a whole number for itself; ``...`` for any number of
    dimensions; the empty text for a scalar.

    Example:
        >>> Shape("steps paths").names
        ('steps', 'paths')
    """

    dims: str

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.dims.split())
