"""The networks that the command line and the examples train."""

from __future__ import annotations

from collections.abc import Sequence

from minigrad import nn
from minigrad.errors import ArgumentError

__all__ = ["cnn", "mlp"]


def cnn(size: int = 28, channels: int = 1, classes: int = 10, width: tuple[int, int] = (16, 32)) -> nn.Sequential:
    """The small CNN of exercise 3.4: conv-relu-pool, conv-relu-pool, linear.

        (N, channels, size, size) -> (N, width[0], size/2, size/2) -> (N, width[1], size/4, size/4) -> (N, classes)

    The convolutions are 3x3 with padding 1 and start from He's normal distribution, made for ReLU; the linear layer
    ends in a softmax and starts from Xavier's uniform one. Biases start at zero.

    Parameters
    ----------
    size : int
        Height and width of the images; at least 4.
    channels : int
        1 for grey images.
    classes : int
    width : (int, int)
        Output channels of the two convolutions.
    """
    if size < 4:
        raise ArgumentError(f"cnn: expected images of at least 4x4 pixels, two poolings halve them; got size={size}.")
    c1, c2 = width
    model = nn.Sequential(
        nn.Conv2d(channels, c1, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(c1, c2, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(c2 * (size // 4) ** 2, classes),
    )
    for layer in model:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_in", nonlinearity="relu")
        elif isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
        if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
            nn.init.zeros_(layer.bias)
    return model


def mlp(inputs: int, outputs: int, hidden: int | Sequence[int] | None = (64, 64)) -> nn.Sequential:
    """A multi-layer perceptron: linear layers with ReLU between them.

        (N, ...) -> (N, inputs) -> (N, hidden[0]) -> ... -> (N, outputs)

    Samples of any shape are flattened first. The hidden layers start from He's normal distribution, made for ReLU, the
    last one from Xavier's uniform one. Biases start at zero.

    Parameters
    ----------
    inputs, outputs : int
        Numbers in a sample, and numbers to answer with.
    hidden : int or sequence of int, default (64, 64)
        Width of each hidden layer; None or an empty sequence makes a linear model.

    Examples
    --------
    >>> mlp(2, 3, hidden=(16, 8)).num_parameters()  # (2+1) 16 + (16+1) 8 + (8+1) 3
    211
    """
    widths = (hidden,) if isinstance(hidden, int) else tuple(hidden or ())
    if any(isinstance(width, bool) or not isinstance(width, int) or width < 1 for width in widths):
        raise ArgumentError(f"mlp: expected hidden to be whole numbers of at least 1, got {hidden!r}. Try (64, 64).")
    layers: list[nn.Module] = [nn.Flatten()]
    fan_in = inputs
    for width in widths:
        layer = nn.Linear(fan_in, width)
        nn.init.kaiming_normal_(layer.weight, mode="fan_in", nonlinearity="relu")
        layers += [layer, nn.ReLU()]
        fan_in = width
    last = nn.Linear(fan_in, outputs)
    nn.init.xavier_uniform_(last.weight)
    model = nn.Sequential(*layers, last)
    for layer in model:
        if isinstance(layer, nn.Linear) and layer.bias is not None:
            nn.init.zeros_(layer.bias)
    return model
