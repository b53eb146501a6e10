"""Averages of weights: stochastic weight averaging and exponential moving averages, under PyTorch's names.

averaged = AveragedModel(model, avg_fn=get_ema_avg_fn(0.999))
for x, y in loader:
    ...
    optimizer.step()
    averaged.update_parameters(model)
update_bn(loader, averaged)        # for models with batch normalisation
averaged(x)
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from minigrad.errors import ArgumentError, ShapeError
from minigrad.graph import no_grad
from minigrad.optim import hyper
from minigrad.versions import mark_changed

__all__ = ["AveragedModel", "get_ema_avg_fn", "get_swa_avg_fn", "update_bn"]

Average = Callable[[np.ndarray, np.ndarray, int], np.ndarray]


def get_swa_avg_fn() -> Average:
    """The running mean of all models so far: a ← a + (θ - a) / (n + 1), n being how many went into a.

    Examples
    --------
    >>> import numpy as np
    >>> get_swa_avg_fn()(np.array([2.0]), np.array([5.0]), 2)  # the mean of 2, 2 and 5
    array([3.])
    """

    def average(averaged: np.ndarray, current: np.ndarray, n: int) -> np.ndarray:
        return averaged + (current - averaged) / averaged.dtype.type(n + 1)

    return average


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """The exponential moving average: a ← decay · a + (1 - decay) · θ.

    Examples
    --------
    >>> import numpy as np
    >>> get_ema_avg_fn(0.75)(np.array([2.0]), np.array([6.0]), 10)
    array([3.])
    """
    decay = hyper.between(0.0, 1.0)("get_ema_avg_fn", "decay", decay)

    def average(averaged: np.ndarray, current: np.ndarray, n: int) -> np.ndarray:
        return averaged + averaged.dtype.type(1.0 - decay) * (current - averaged)

    return average


class AveragedModel:
    """A copy of a model whose weights are an average of the model's over time.

    Parameters
    ----------
    model : Module
        It is copied, and left as it is.
    avg_fn : function of (averaged, current, n), optional
        The new average of two arrays, of which the first is that of n models. By default `get_swa_avg_fn()`.
    use_buffers : bool
        Average buffers (running statistics) too. Otherwise they are copied from the model.

    Attributes
    ----------
    module : Module
        The averaged copy; calling the AveragedModel calls it.
    n_averaged : int

    References
    ----------
    Izmailov et al., Averaging weights leads to wider optima and better generalization, arXiv:1803.05407.
    https://docs.pytorch.org/docs/stable/optim.html#weight-averaging-swa-and-ema

    Examples
    --------
    >>> from minigrad import nn
    >>> from minigrad.optim.swa_utils import AveragedModel
    >>> model = nn.Linear(1, 1, bias=False)
    >>> averaged = AveragedModel(model)
    >>> for value in (1.0, 2.0, 6.0):
    ...     model.weight.data[...] = value
    ...     averaged.update_parameters(model)
    >>> averaged.module.weight.item(), averaged.n_averaged
    (3.0, 3)
    """

    def __init__(self, model: Any, avg_fn: Average | None = None, use_buffers: bool = False) -> None:
        self.module = copy.deepcopy(model)
        self.avg_fn = avg_fn or get_swa_avg_fn()
        self.use_buffers = use_buffers
        self.n_averaged = 0

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        return self.module(*inputs, **options)

    def update_parameters(self, model: Any) -> None:
        """Take the present weights of `model` into the average; the first ones are copied."""
        theirs, ours = dict(model.named_parameters()), dict(self.module.named_parameters())
        if {name: p.shape for name, p in theirs.items()} != {name: p.shape for name, p in ours.items()}:
            raise ShapeError("update_parameters: expected the model that was copied, got one with other parameters.")
        buffers = list(zip(self.module.buffers(), model.buffers(), strict=True))
        averaged = [(ours[name], theirs[name]) for name in ours]
        if self.use_buffers:
            averaged += [(a, b) for a, b in buffers if a.dtype.kind == "f"]
        else:
            for mine, current in buffers:
                _write(mine, current.data)
        for mine, current in averaged:
            first = self.n_averaged == 0
            _write(mine, current.data if first else self.avg_fn(mine.data, current.data, self.n_averaged))
        self.n_averaged += 1

    def train(self, mode: bool = True) -> AveragedModel:
        self.module.train(mode)
        return self

    def eval(self) -> AveragedModel:
        return self.train(False)

    @property
    def training(self) -> bool:
        return self.module.training

    def modules(self) -> Any:
        return self.module.modules()

    def parameters(self) -> Any:
        return self.module.parameters()

    def state_dict(self) -> dict[str, Any]:
        """'n_averaged', and the copy's state with 'module.' before each name, as in PyTorch."""
        own = {f"module.{name}": value for name, value in self.module.state_dict().items()}
        return {"n_averaged": self.n_averaged, **own}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if "n_averaged" not in state_dict:
            raise ArgumentError("AveragedModel.load_state_dict: expected 'n_averaged', which the state does not have.")
        start = "module."
        own = {name[len(start) :]: value for name, value in state_dict.items() if name.startswith(start)}
        self.module.load_state_dict(own)
        self.n_averaged = int(state_dict["n_averaged"])


def _write(tensor: Any, value: np.ndarray) -> None:
    tensor.data[...] = value
    mark_changed(tensor.data)


def update_bn(loader: Iterable[Any], model: Any) -> None:
    """Compute the running statistics of batch normalisation anew, as plain means over all batches of `loader`.

    Averaged weights were never used in training, so the statistics of the model do not fit them.

    Parameters
    ----------
    loader : iterable of batches
        Of a batch that is a tuple or list, the first element is the input.
    model : Module or AveragedModel

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> from minigrad.optim.swa_utils import update_bn
    >>> model = nn.BatchNorm1d(1)
    >>> batches = [minigrad.tensor([[1.0], [3.0]]), minigrad.tensor([[5.0], [7.0]])]
    >>> update_bn(batches, model)
    >>> model.running_mean
    tensor([4.])
    """
    layers = [layer for layer in model.modules() if getattr(layer, "running_mean", None) is not None]
    if not layers:
        return
    was_training, momenta = model.training, [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a cumulative mean
    try:
        model.train()
        with no_grad():
            for batch in loader:
                model(batch[0] if isinstance(batch, tuple | list) else batch)
    finally:
        model.train(was_training)
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
