"""Every order of derivative for an op whose forward and gradient are kernels.

The rule of such an op works on arrays. Under `create_graph=True` it is given Tensors; it then calls
`recorded_gradients` with the same computation in ordinary operations, and differentiates that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from minigrad.backward import run
from minigrad.ops.arithmetic import mul

__all__ = ["recorded_gradients"]


def recorded_gradients(compute: Callable[..., Any], g: Any, inputs: Sequence[Any]) -> tuple:
    """The gradient of `compute(*inputs)` under the upstream gradient g, as Tensors that can be differentiated.

    Parameters
    ----------
    compute : callable
        Takes and returns Tensors, and is made of operations that have all derivatives.
    g : Tensor
    inputs : Tensors, or None

    Returns
    -------
    tuple of Tensors
        None in the place of an input that requires no gradient.
    """
    # Copies, so that an input which was itself computed from another one (a tied weight) is not walked through.
    copies = [x if x is None else mul(x, 1) if x._requires_grad else x for x in inputs]
    wanted = [x for x in copies if x is not None and x._requires_grad]
    found = iter(run([compute(*copies)], [g], wanted, create_graph=True))
    return tuple(next(found) if x is not None and x._requires_grad else None for x in copies)
