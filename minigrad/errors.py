"""The error classes of minigrad, and the one form that their messages have.

A message says what was expected, what came, and what to do:

    conv2d: expected input with 3 channels (weight is (8, 3, 5, 5), groups=1), got 1 channel in (32, 1, 28, 28).
    Give the layer in_channels=1.

Each class is also the built-in exception that a Python programmer would catch for it, so `except ValueError`
keeps working, and all of them are `MinigradError`.
"""

from __future__ import annotations

__all__ = [
    "ArgumentError",
    "CheckpointError",
    "DTypeError",
    "DataError",
    "DeviceError",
    "DimError",
    "GraphError",
    "MinigradError",
    "NonFiniteError",
    "ShapeError",
]


class MinigradError(Exception):
    """Base class of every error that minigrad raises on purpose."""


class ArgumentError(MinigradError, ValueError):
    """An argument is outside what the function accepts (a negative learning rate, an unknown name)."""


class ShapeError(MinigradError, ValueError):
    """Shapes do not fit together, or not to the operation."""


class DimError(MinigradError, IndexError):
    """A dimension or an index is out of range."""


class DTypeError(MinigradError, TypeError):
    """A dtype, or the type of an argument, is not what the operation works on."""


class DeviceError(MinigradError, RuntimeError):
    """A device other than the CPU was asked for."""


class GraphError(MinigradError, RuntimeError):
    """The autograd graph cannot do this: it was freed, changed in place, or the root is not a scalar."""


class NonFiniteError(MinigradError, ArithmeticError):
    """A gradient or a loss is NaN or infinite where it must not be."""


class DataError(MinigradError, OSError):
    """A data file is missing, cut or not what it claims to be."""


class CheckpointError(MinigradError, OSError):
    """A checkpoint is missing, damaged or belongs to another model."""
