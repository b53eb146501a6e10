"""Recurrent layers over whole sequences: RNN, LSTM, GRU. Single steps are in `recurrent_cells.py`.

A layer reads a sequence step by step and carries a state along. Several layers are stacked: the outputs of one are the
inputs of the next. A bidirectional layer has a second set of weights that reads from the end, and its outputs are put
behind those of the first. One direction of one layer is one operation (`minigrad/ops/recurrent.py`).

Shapes, for T steps, a batch of N, I = input_size, H = hidden_size, L = num_layers, D = 2 if bidirectional else 1:

    input    (T, N, I), with batch_first (N, T, I), or (T, I) for one sequence alone
    output   (T, N, D H), (N, T, D H), or (T, D H): the hidden states of the last layer
    state    (L D, N, H), or (L D, H): row l D + d is direction d of layer l
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.creation import empty, zeros
from minigrad.errors import ArgumentError, DTypeError, ShapeError
from minigrad.nn import functional as F
from minigrad.nn import init
from minigrad.nn.module import Module, Parameter
from minigrad.ops import recurrent as ops
from minigrad.ops.arrange import flip
from minigrad.ops.joining import cat, stack
from minigrad.tensor import Tensor

__all__ = ["GRU", "LSTM", "RNN", "RecurrentLayer"]


class RecurrentLayer(Module):
    """What RNN, LSTM and GRU share: parameters, layers, directions, and the checks of what comes in."""

    _gates: int  # blocks of rows in a weight
    _states: tuple[str, ...] = ("h_0",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bias: bool,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        dtype: Any,
        proj_size: int = 0,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        for what, value in (("input_size", input_size), ("hidden_size", hidden_size), ("num_layers", num_layers)):
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
                raise ArgumentError(f"{name}: expected {what} to be a positive integer, got {value!r}.")
        if isinstance(dropout, bool) or not 0 <= dropout <= 1:
            raise ArgumentError(f"{name}: expected dropout to be a probability in [0, 1], got {dropout!r}.")
        if not 0 <= proj_size < hidden_size:
            raise ArgumentError(
                f"{name}: expected proj_size from 0 (no projection) to {hidden_size - 1}, below hidden_size, "
                f"got {proj_size}."
            )
        if dropout > 0 and num_layers == 1:
            warnings.warn(
                f"{name}: dropout={dropout} has no effect with one layer: it lies between layers, not after the last.",
                stacklevel=3,
            )
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        rows, state = self._gates * hidden_size, proj_size or hidden_size
        for layer in range(num_layers):
            inputs = input_size if layer == 0 else state * self._directions
            for suffix in self._suffixes(layer):
                shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, inputs), "weight_hh": (rows, state)}
                if bias:
                    shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
                if proj_size:
                    shapes["weight_hr"] = (proj_size, hidden_size)
                for what, shape in shapes.items():
                    setattr(self, what + suffix, Parameter(empty(*shape, dtype=dtype)))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw every weight and bias from U(-k, k), k = 1/√H."""
        k = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -k, k)

    def flatten_parameters(self) -> None:
        """Nothing: PyTorch's copies weights into one piece of memory for cuDNN, and scripts call it."""

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    def _suffixes(self, layer: int) -> tuple[str, ...]:
        return (f"_l{layer}", f"_l{layer}_reverse")[: self._directions]

    def _weights(self, suffix: str) -> list[Any]:
        """W_ih, W_hh, b_ih, b_hh of one direction of one layer."""
        kept = vars(self)
        return [kept.get(what + suffix) for what in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]

    # ---- the computation -------------------------------------------------------------------------------------------

    def _direction(self, x: Tensor, states: list[Tensor], suffix: str) -> tuple[Tensor, list[Tensor]]:
        """Outputs (T, N, H) and last states (N, H) of one direction of one layer."""
        raise NotImplementedError

    def _run(self, x: Any, states: Any) -> tuple[Tensor, list[Tensor]]:
        """The outputs, and for each kind of state the last ones of all layers."""
        x, states, batched = self._checked(x, states)
        last: list[list[Tensor]] = [[] for _ in self._states]
        for layer in range(self.num_layers):
            outputs = []
            for d, suffix in enumerate(self._suffixes(layer)):
                row = layer * self._directions + d
                y, ends = self._direction(flip(x, 0) if d else x, [state[row] for state in states], suffix)
                outputs.append(flip(y, 0) if d else y)
                for kind, end in zip(last, ends, strict=True):
                    kind.append(end)
            x = outputs[0] if len(outputs) == 1 else cat(outputs, dim=2)
            if self.dropout > 0 and layer < self.num_layers - 1:
                x = F.dropout(x, self.dropout, self.training)
        ends = [stack(kind) for kind in last]
        if not batched:
            return x.squeeze(1), [end.squeeze(1) for end in ends]
        return x.transpose(0, 1) if self.batch_first else x, ends

    def _checked(self, x: Any, states: Any) -> tuple[Tensor, list[Tensor], bool]:
        """The input as (T, N, I), the states as (L D, N, H), and whether there was a batch."""
        name = type(self).__name__
        if not isinstance(x, Tensor):
            raise DTypeError(
                f"{name}: expected a Tensor, got {type(x).__name__}. Packed sequences are not offered: pad them to one "
                "length, and read each sequence's output at its own last step."
            )
        batch = "(N, T, {0})" if self.batch_first else "(T, N, {0})"
        if x.ndim not in (2, 3) or x.shape[-1] != self.input_size:
            raise ShapeError(
                f"{name}: expected input {batch.format(self.input_size)}, or (T, {self.input_size}) for one sequence, "
                f"got {x.shape}."
            )
        weight = next(self.parameters())
        if x.dtype != weight.dtype:
            raise DTypeError(
                f"{name}: expected input of the weights' dtype {weight.dtype.name}, got {x.dtype.name}. "
                f"Convert it with .to({weight.dtype.name!r})."
            )
        batched = x.ndim == 3
        if not batched:
            x = x.unsqueeze(1)
        elif self.batch_first:
            x = x.transpose(0, 1)
        if len(x) == 0:
            raise ShapeError(f"{name}: expected a sequence of at least one step, got none.")
        return x, self._checked_states(states, x, batched), batched

    def _checked_states(self, states: Any, x: Tensor, batched: bool) -> list[Tensor]:
        rows, n = self.num_layers * self._directions, x.shape[1]
        sizes = [self.proj_size or self.hidden_size, self.hidden_size][: len(self._states)]
        if states is None:
            return [zeros(rows, n, size, dtype=x.dtype) for size in sizes]
        given = (states,) if len(self._states) == 1 else states
        if not isinstance(given, Sequence) or len(given) != len(sizes):
            raise DTypeError(
                f"{type(self).__name__}: expected the states ({', '.join(self._states)}), got {type(states).__name__}."
            )
        checked = []
        for what, state, size in zip(self._states, given, sizes, strict=True):
            wanted = (rows, n, size) if batched else (rows, size)
            if not isinstance(state, Tensor) or state.shape != wanted or state.dtype != x.dtype:
                got = f"{state.dtype.name} {state.shape}" if isinstance(state, Tensor) else type(state).__name__
                raise ShapeError(
                    f"{type(self).__name__}: expected {what} to be {x.dtype.name} {wanted} "
                    f"({self.num_layers} layers x {self._directions} directions), got {got}."
                )
            checked.append(state if batched else state.unsqueeze(1))
        return checked

    def extra_repr(self) -> str:
        defaults = {
            "proj_size": 0, "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False,
        }  # fmt: skip
        parts = [str(self.input_size), str(self.hidden_size)]
        parts += [f"{key}={vars(self)[key]!r}" for key, usual in defaults.items() if vars(self)[key] != usual]
        return ", ".join(parts)


class RNN(RecurrentLayer):
    """h_t = tanh(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh)

    Parameters
    ----------
    input_size, hidden_size : int
        I and H, the numbers of features of x_t and h_t.
    num_layers : int
    nonlinearity : {'tanh', 'relu'}
    bias : bool
    batch_first : bool
        Input and output are (N, T, features) instead of (T, N, features). States are not affected.
    dropout : float
        The probability with which elements of the outputs of all layers but the last are zeroed in training.
    bidirectional : bool
    dtype : numpy dtype, optional

    Attributes
    ----------
    weight_ih_l[k], weight_hh_l[k] : Parameter (H, I), or (H, D H) from the second layer on; Parameter (H, H)
    bias_ih_l[k], bias_hh_l[k] : Parameter (H,)
        All drawn from U(-1/√H, 1/√H). The names of the other direction end in `_reverse`.

    Shapes: input (T, N, I), h_0 (L D, N, H) or None for zeros -> output (T, N, D H), h_n (L D, N, H). See the head
    of this file.

    Raises
    ------
    ArgumentError, ShapeError, DTypeError
        For arguments out of range; an input or a state of another shape or dtype; a packed sequence.

    References
    ----------
    J. L. Elman, Finding structure in time, Cognitive Science 14(2), 1990.
    https://docs.pytorch.org/docs/stable/generated/torch.nn.RNN.html

    Examples
    --------
    >>> import minigrad
    >>> rnn = RNN(3, 5, num_layers=2, batch_first=True)
    >>> output, h_n = rnn(minigrad.randn(4, 7, 3))
    >>> output.shape, h_n.shape
    ((4, 7, 5), (2, 4, 5))
    """

    _gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype)
        if nonlinearity not in ("tanh", "relu"):
            raise ArgumentError(f"RNN: expected nonlinearity 'tanh' or 'relu', got {nonlinearity!r}.")
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:
        output, (h_n,) = self._run(input, hx)
        return output, h_n

    def _direction(self, x: Tensor, states: list[Tensor], suffix: str) -> tuple[Tensor, list[Tensor]]:
        z = ops.rnn_layer(x, *states, *self._weights(suffix), nonlinearity=self.nonlinearity)
        return z, [z[-1]]

    def extra_repr(self) -> str:
        return super().extra_repr() + (", nonlinearity='relu'" if self.nonlinearity == "relu" else "")


class LSTM(RecurrentLayer):
    """Long short-term memory: a cell c_t that gates write to, keep and read, so that gradients survive many steps.

        i_t = σ(W_ii x_t + b_ii + W_hi h_(t-1) + b_hi)         what to write
        f_t = σ(W_if x_t + b_if + W_hf h_(t-1) + b_hf)         what to keep
        g_t = tanh(W_ig x_t + b_ig + W_hg h_(t-1) + b_hg)      the new content
        o_t = σ(W_io x_t + b_io + W_ho h_(t-1) + b_ho)         what to show
        c_t = f_t c_(t-1) + i_t g_t
        h_t = o_t tanh(c_t)

    Parameters
    ----------
    input_size, hidden_size : int
        I and H, the numbers of features of x_t and h_t.
    num_layers : int
    bias : bool
    batch_first : bool
        Input and output are (N, T, features) instead of (T, N, features). States are not affected.
    dropout : float
        The probability with which elements of the outputs of all layers but the last are zeroed in training.
    bidirectional : bool
    proj_size : int
        P > 0 makes the hidden state h_t = W_hr (o_t tanh(c_t)) of P features. This form is computed in single
        operations, a step at a time.
    dtype : numpy dtype, optional

    Attributes
    ----------
    weight_ih_l[k], weight_hh_l[k] : Parameter (4 H, I), or (4 H, D H) from the second layer on; Parameter (4 H, H)
        W_i, W_f, W_g, W_o below each other.
    bias_ih_l[k], bias_hh_l[k] : Parameter (4 H,)
    weight_hr_l[k] : Parameter (P, H), only with proj_size
        All drawn from U(-1/√H, 1/√H). The names of the other direction end in `_reverse`.

    Shapes: input (T, N, I), (h_0, c_0) each (L D, N, H) or None for zeros -> output (T, N, D H), (h_n, c_n). See the
    head of this file; h_0, h_n and output have P features in place of H where there is a projection.

    Raises
    ------
    ArgumentError, ShapeError, DTypeError
        For arguments out of range; an input or a state of another shape or dtype; a packed sequence.

    References
    ----------
    S. Hochreiter and J. Schmidhuber, Long Short-Term Memory, Neural Computation 9(8), 1997.
    H. Sak, A. Senior and F. Beaufays, Long Short-Term Memory based recurrent neural network architectures for large
    vocabulary speech recognition, arXiv:1402.1128 (the projection).
    https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html

    Examples
    --------
    >>> import minigrad
    >>> lstm = LSTM(3, 5, bidirectional=True)
    >>> output, (h_n, c_n) = lstm(minigrad.randn(7, 4, 3))
    >>> output.shape, h_n.shape, c_n.shape
    ((7, 4, 10), (2, 4, 5), (2, 4, 5))
    """

    _gates = 4
    _states = ("h_0", "c_0")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype, proj_size
        )

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        output, (h_n, c_n) = self._run(input, hx)
        return output, (h_n, c_n)

    def _direction(self, x: Tensor, states: list[Tensor], suffix: str) -> tuple[Tensor, list[Tensor]]:
        weights = self._weights(suffix)
        if self.proj_size:
            y, c = ops.lstm_steps(x, *states, *weights, getattr(self, "weight_hr" + suffix))
            return y, [y[-1], c]
        z = ops.lstm_layer(x, *states, *weights)
        return z[:-1], [z[-2], z[-1]]


class GRU(RecurrentLayer):
    """Gated recurrent unit: a reset gate chooses what the new content sees, an update gate how much of it is taken.

        r_t = σ(W_ir x_t + b_ir + W_hr h_(t-1) + b_hr)
        z_t = σ(W_iz x_t + b_iz + W_hz h_(t-1) + b_hz)
        n_t = tanh(W_in x_t + b_in + r_t (W_hn h_(t-1) + b_hn))
        h_t = (1 - z_t) n_t + z_t h_(t-1)

    Parameters
    ----------
    input_size, hidden_size : int
        I and H, the numbers of features of x_t and h_t.
    num_layers : int
    bias : bool
    batch_first : bool
        Input and output are (N, T, features) instead of (T, N, features). States are not affected.
    dropout : float
        The probability with which elements of the outputs of all layers but the last are zeroed in training.
    bidirectional : bool
    dtype : numpy dtype, optional

    Attributes
    ----------
    weight_ih_l[k], weight_hh_l[k] : Parameter (3 H, I), or (3 H, D H) from the second layer on; Parameter (3 H, H)
        W_r, W_z, W_n below each other.
    bias_ih_l[k], bias_hh_l[k] : Parameter (3 H,)
        All drawn from U(-1/√H, 1/√H). The names of the other direction end in `_reverse`.

    Shapes: input (T, N, I), h_0 (L D, N, H) or None for zeros -> output (T, N, D H), h_n (L D, N, H). See the head
    of this file.

    Raises
    ------
    ArgumentError, ShapeError, DTypeError
        For arguments out of range; an input or a state of another shape or dtype; a packed sequence.

    References
    ----------
    K. Cho et al., Learning phrase representations using RNN encoder-decoder, arXiv:1406.1078. The reset gate stands
    behind the product with W_hn, as in PyTorch, not before it.
    https://docs.pytorch.org/docs/stable/generated/torch.nn.GRU.html

    Examples
    --------
    >>> import minigrad
    >>> output, h_n = GRU(3, 5)(minigrad.randn(7, 3))
    >>> output.shape, h_n.shape
    ((7, 5), (1, 5))
    """

    _gates = 3

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:
        output, (h_n,) = self._run(input, hx)
        return output, h_n

    def _direction(self, x: Tensor, states: list[Tensor], suffix: str) -> tuple[Tensor, list[Tensor]]:
        z = ops.gru_layer(x, *states, *self._weights(suffix))
        return z, [z[-1]]
