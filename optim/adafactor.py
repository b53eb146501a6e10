"""Adafactor: second moments of a matrix in the memory of its rows and columns."""

from __future__ import annotations

from math import sqrt
from typing import Any, ClassVar

import numpy as np

from minigrad.errors import ArgumentError
from minigrad.optim import hyper
from minigrad.optim.arena import Block, Cell
from minigrad.optim.optimizer import Group, Optimizer, sign

__all__ = ["Adafactor"]


def _epsilons(owner: str, name: str, value: Any) -> tuple[float | None, float]:
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ArgumentError(f"{owner}: expected {name} to be a tuple of two numbers, got {value!r}.")
    first = None if value[0] is None else hyper.nonnegative(owner, f"{name}[0]", value[0])
    return first, hyper.nonnegative(owner, f"{name}[1]", value[1])


class Adafactor(Optimizer):
    """Adafactor: Adam's denominator as the product of a row and a column, and steps relative to the parameters.

        w_t = t^τ,   ρ_t = min(α, 1/√t),   a_t = max(ε₂, RMS(θ)) ρ_t              t = 1, 2, ...
        θ ← θ - α λ θ
        R ← (1 - w_t) R + w_t · row means of G²,   C ← (1 - w_t) C + w_t · column means of G²
        V = R C / max(mean of R, ε₁)                for a vector V ← (1 - w_t) V + w_t G²
        U = G / max(√V, ε₁)
        θ ← θ - a_t U / max(1, RMS(U) / d)

    Of a tensor with more than two dimensions, the last two are the rows and columns. The form is PyTorch's: α is what
    the paper fixes at 0.01, and ε₁ stands where it stabilises.

    Parameters
    ----------
    params : iterable of parameters or of groups, optional
    lr : float or schedule
        α, the largest relative step.
    beta2_decay : float
        τ, zero or less.
    eps : (float or None, float)
        ε₁, by default the resolution of the dtype, and ε₂.
    d : float
        The clipping threshold, 1 or more.
    weight_decay : float
        λ.
    maximize : bool
    options
        `clipnorm`, `clipvalue`, `global_clipnorm`, `nonfinite`: see `Optimizer`.

    References
    ----------
    Shazeer and Stern, Adafactor: adaptive learning rates with sublinear memory cost, arXiv:1804.04235.
    https://docs.pytorch.org/docs/stable/generated/torch.optim.Adafactor.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import optim
    >>> w = minigrad.ones(4, 6, requires_grad=True)
    >>> optimizer = optim.Adafactor([w], lr=0.01)
    >>> (3.0 * w).sum().backward()
    >>> optimizer.step()  # relative to the size of θ, which is 1
    >>> round(w[0, 0].item(), 6)
    0.99
    >>> {name: x.shape for name, x in optimizer.state[w].items() if name != "step"}
    {'row_var': (4, 1), 'col_var': (1, 6)}
    """

    rules: ClassVar = {
        "lr": hyper.rate,
        "beta2_decay": hyper.real,
        "eps": _epsilons,
        "d": hyper.positive,
        "weight_decay": hyper.nonnegative,
        "maximize": hyper.flag,
    }
    numbers: ClassVar = ("step",)
    arrays: ClassVar = ("row_var", "col_var", "variance")
    elementwise: ClassVar = False

    def __init__(
        self, params: Any = None, lr: Any = 1e-2, beta2_decay: float = -0.8, eps: Any = (None, 1e-3), d: float = 1.0,
        weight_decay: float = 0.0, *, maximize: bool = False, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            params, lr=lr, beta2_decay=beta2_decay, eps=eps, d=d, weight_decay=weight_decay, maximize=maximize,
            **options,
        )  # fmt: skip

    def _check_together(self, group: Group) -> None:
        if group["beta2_decay"] > 0 or group["d"] < 1:
            raise ArgumentError(
                "Adafactor: expected beta2_decay to be zero or less and d to be 1 or more, "
                f"got {group['beta2_decay']} and {group['d']}."
            )

    def _names_of(self, cell: Cell, group: Group) -> tuple[str, ...]:
        return ("step", "row_var", "col_var") if len(cell.tensor.shape) > 1 else ("step", "variance")

    def _state_shape(self, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        if name == "row_var":
            return (*shape[:-1], 1)
        return (*shape[:-2], 1, *shape[-1:]) if name == "col_var" else shape

    def _update(self, block: Block, group: Group) -> None:
        (cell,) = block.cells()
        shape = cell.tensor.shape
        alpha, t = float(group["lr"]), block.count()
        eps1, eps2 = group["eps"]
        eps1 = float(np.finfo(block.p.dtype).eps) if eps1 is None else eps1
        w = t ** group["beta2_decay"]
        p, g = block.p.reshape(shape), (sign(group) * block.g).reshape(shape)
        step = max(eps2, _rms(p)) * min(alpha, 1.0 / sqrt(t))
        p *= 1.0 - alpha * group["weight_decay"]
        square = g * g
        if len(shape) > 1:
            row, col = self._moment(block, "row_var", shape), self._moment(block, "col_var", shape)
            row += w * (square.mean(axis=-1, keepdims=True) - row)
            col += w * (square.mean(axis=-2, keepdims=True) - col)
            v = row * col / np.maximum(row.mean(axis=-2, keepdims=True), eps1)
        else:
            v = block.array("variance").reshape(shape)
            v += w * (square - v)
        u = g / np.sqrt(np.maximum(v, eps1 * eps1))
        u *= step / max(1.0, _rms(u) / group["d"])
        p -= u

    def _moment(self, block: Block, name: str, shape: tuple[int, ...]) -> np.ndarray:
        found = block.state.get(name)
        if found is None:
            found = block.state[name] = np.zeros(self._state_shape(name, shape), block.p.dtype)
        return found


def _rms(x: np.ndarray) -> float:
    """√(mean of x²), summed in float64"""
    return sqrt(np.mean(np.square(x, dtype=np.float64))) if x.size else 0.0
