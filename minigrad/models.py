"""The networks that the command line and the examples train."""

from __future__ import annotations

from minigrad import nn
from minigrad.errors import ArgumentError

__all__ = ["cnn"]


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
