"""One step of a recurrent layer: RNNCell, LSTMCell, GRUCell.

For loops that are written by hand, because the next input depends on the last output. They are made of ordinary
operations. A whole sequence is many times faster in `RNN`, `LSTM` and `GRU`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.creation import empty, zeros
from minigrad.errors import ArgumentError, DTypeError, ShapeError
from minigrad.nn import init
from minigrad.nn.module import Module, Parameter
from minigrad.ops import recurrent as ops
from minigrad.tensor import Tensor

__all__ = ["GRUCell", "LSTMCell", "RNNCell", "RecurrentCell"]


class RecurrentCell(Module):
    """What the three cells share: parameters, and the checks of what comes in."""

    _gates: int

    def __init__(self, input_size: int, hidden_size: int, bias: bool, dtype: Any) -> None:
        super().__init__()
        for what, value in (("input_size", input_size), ("hidden_size", hidden_size)):
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
                raise ArgumentError(f"{type(self).__name__}: expected {what} to be a positive integer, got {value!r}.")
        self.input_size = input_size
        self.hidden_size = hidden_size
        rows = self._gates * hidden_size
        self.weight_ih = Parameter(empty(rows, input_size, dtype=dtype))
        self.weight_hh = Parameter(empty(rows, hidden_size, dtype=dtype))
        self.bias_ih = Parameter(empty(rows, dtype=dtype)) if bias else None
        self.bias_hh = Parameter(empty(rows, dtype=dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw every weight and bias from U(-k, k), k = 1/√H."""
        k = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -k, k)

    def _operands(self) -> tuple:
        return self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh

    def _check_input(self, x: Tensor) -> None:
        if not isinstance(x, Tensor) or x.ndim not in (1, 2) or x.shape[-1] != self.input_size:
            got = x.shape if isinstance(x, Tensor) else type(x).__name__
            raise ShapeError(
                f"{type(self).__name__}: expected input (N, {self.input_size}) or ({self.input_size},), got {got}."
            )

    def _state(self, state: Tensor | None, x: Tensor, what: str = "the state") -> Tensor:
        """The state that was given, checked, or zeros."""
        wanted = (*x.shape[:-1], self.hidden_size)
        if state is None:
            return zeros(*wanted, dtype=x.dtype)
        if not isinstance(state, Tensor) or state.shape != wanted:
            got = state.shape if isinstance(state, Tensor) else type(state).__name__
            raise ShapeError(f"{type(self).__name__}: expected {what} of shape {wanted}, got {got}.")
        return state

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias_ih is not None else ", bias=False")


class RNNCell(RecurrentCell):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh)

    Parameters
    ----------
    input_size, hidden_size : int
        I and H, the numbers of features of x and h.
    bias : bool
    nonlinearity : {'tanh', 'relu'}
    dtype : numpy dtype, optional

    Attributes
    ----------
    weight_ih, weight_hh : Parameter (H, I) and (H, H), drawn from U(-1/√H, 1/√H)
    bias_ih, bias_hh : Parameter (H,), drawn likewise, or None

    Shapes: input (N, I), h (N, H) or None for zeros -> (N, H); each without N for one sample.

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.RNNCell.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> cell = nn.RNNCell(3, 5)
    >>> h = cell(minigrad.zeros(2, 3))
    >>> cell(minigrad.zeros(2, 3), h).shape
    (2, 5)
    """

    _gates = 1

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh", dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, dtype)
        if nonlinearity not in ("tanh", "relu"):
            raise ArgumentError(f"RNNCell: expected nonlinearity 'tanh' or 'relu', got {nonlinearity!r}.")
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        self._check_input(input)
        return ops.rnn_cell(input, self._state(hx, input), *self._operands(), nonlinearity=self.nonlinearity)

    def extra_repr(self) -> str:
        return super().extra_repr() + (", nonlinearity='relu'" if self.nonlinearity == "relu" else "")


class LSTMCell(RecurrentCell):
    """c' = σ(f) c + σ(i) tanh(g), h' = σ(o) tanh(c'), with (i, f, g, o) = W_ih x + b_ih + W_hh h + b_hh

    Parameters
    ----------
    input_size, hidden_size : int
        I and H, the numbers of features of x and of h and c.
    bias : bool
    dtype : numpy dtype, optional

    Attributes
    ----------
    weight_ih, weight_hh : Parameter (4 H, I) and (4 H, H), drawn from U(-1/√H, 1/√H)
    bias_ih, bias_hh : Parameter (4 H,), drawn likewise, or None

    Shapes: input (N, I), (h, c) each (N, H) or None for zeros -> (h', c') each (N, H); each without N for one sample.

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTMCell.html

    Examples
    --------
    >>> import minigrad
    >>> cell = LSTMCell(3, 5)
    >>> state = None
    >>> for x in minigrad.randn(7, 4, 3):
    ...     state = cell(x, state)
    >>> state[0].shape, state[1].shape
    ((4, 5), (4, 5))
    """

    _gates = 4

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, dtype: Any = None) -> None:
        super().__init__(input_size, hidden_size, bias, dtype)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        self._check_input(input)
        if hx is not None and (not isinstance(hx, tuple | list) or len(hx) != 2):
            raise DTypeError(f"LSTMCell: expected the states (h, c), got {type(hx).__name__}.")
        h, c = hx or (None, None)
        states = self._state(h, input, "h"), self._state(c, input, "c")
        return ops.lstm_cell(input, *states, *self._operands())


class GRUCell(RecurrentCell):
    """h' = (1 - z) n + z h, n = tanh(W_in x + b_in + r (W_hn h + b_hn)), r and z = σ(W_i x + b_i + W_h h + b_h)

    Parameters
    ----------
    input_size, hidden_size : int
        I and H, the numbers of features of x and h.
    bias : bool
    dtype : numpy dtype, optional

    Attributes
    ----------
    weight_ih, weight_hh : Parameter (3 H, I) and (3 H, H), rows of r, z, n; drawn from U(-1/√H, 1/√H)
    bias_ih, bias_hh : Parameter (3 H,), drawn likewise, or None

    Shapes: input (N, I), h (N, H) or None for zeros -> (N, H); each without N for one sample.

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.GRUCell.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> cell = nn.GRUCell(3, 5)
    >>> h = cell(minigrad.zeros(2, 3))
    >>> cell(minigrad.zeros(2, 3), h).shape
    (2, 5)
    """

    _gates = 3

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, dtype: Any = None) -> None:
        super().__init__(input_size, hidden_size, bias, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        self._check_input(input)
        return ops.gru_cell(input, self._state(hx, input), *self._operands())
