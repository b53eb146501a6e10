"""The networks that the command line and the examples train."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from minigrad import nn
from minigrad.errors import ArgumentError, ShapeError
from minigrad.tensor import Tensor

__all__ = ["LastState", "ResidualBlock", "cnn", "lstm", "mlp", "resnet"]

_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
}


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
    if not isinstance(width, Sequence) or len(width) != 2 or not all(isinstance(c, int) and c > 0 for c in width):
        raise ArgumentError(
            f"cnn: expected width as the channels of two convolutions, such as (16, 32); got {width!r}."
        )
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


def mlp(
    inputs: int, outputs: int, hidden: int | Sequence[int] | None = (64, 64), activation: str = "relu"
) -> nn.Sequential:
    """A multi-layer perceptron: linear layers with an activation between them.

        (N, ...) -> (N, inputs) -> (N, hidden[0]) -> ... -> (N, outputs)

    Samples of any shape are flattened first. Before ReLU a layer starts from He's normal distribution, else from
    Xavier's uniform one. Biases start at zero.

    Parameters
    ----------
    inputs, outputs : int
        Numbers in a sample, and numbers to answer with.
    hidden : int or sequence of int, default (64, 64)
        Width of each hidden layer; None or an empty sequence makes a linear model.
    activation : {'relu', 'tanh', 'sigmoid', 'gelu', 'silu'}

    Examples
    --------
    >>> mlp(2, 3, hidden=(16, 8)).num_parameters()  # (2+1) 16 + (16+1) 8 + (8+1) 3
    211
    """
    widths = (hidden,) if isinstance(hidden, int) else tuple(hidden or ())
    if any(isinstance(width, bool) or not isinstance(width, int) or width < 1 for width in widths):
        raise ArgumentError(f"mlp: expected hidden to be whole numbers of at least 1, got {hidden!r}. Try (64, 64).")
    if activation not in _ACTIVATIONS:
        raise ArgumentError(f"mlp: expected activation to be one of {', '.join(_ACTIVATIONS)}, got {activation!r}.")
    layers: list[nn.Module] = [nn.Flatten()]
    fan_in = inputs
    for width in widths:
        layer = nn.Linear(fan_in, width)
        if activation == "relu":
            nn.init.kaiming_normal_(layer.weight, mode="fan_in", nonlinearity="relu")
        else:
            nn.init.xavier_uniform_(layer.weight)
        layers += [layer, _ACTIVATIONS[activation]()]
        fan_in = width
    last = nn.Linear(fan_in, outputs)
    nn.init.xavier_uniform_(last.weight)
    model = nn.Sequential(*layers, last)
    for layer in model:
        if isinstance(layer, nn.Linear) and layer.bias is not None:
            nn.init.zeros_(layer.bias)
    return model


class LastState(nn.Module):
    """A recurrent network that reads a sequence and answers from its last hidden state.

        (N, T, inputs) -> h_T (N, hidden) -> (N, outputs)

    An image (N, C, H, W) is read row by row, as H steps of C W numbers.

    Parameters
    ----------
    recurrent : nn.LSTM
        With batch_first.
    outputs : int
    """

    def __init__(self, recurrent: nn.LSTM, outputs: int) -> None:
        super().__init__()
        self.recurrent = recurrent
        self.head = nn.Linear(recurrent.hidden_size, outputs)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim == 4:
            n, c, h, w = x.shape
            x = x.permute(0, 2, 1, 3).reshape(n, h, c * w)  # (N, C, H, W) -> (N, H, C W)
        if x.ndim != 3:
            raise ShapeError(
                f"LastState: expected sequences (N, T, inputs) or images (N, C, H, W), got shape {tuple(x.shape)}. "
                "Add the missing dimension."
            )
        _, (h_last, _) = self.recurrent(x)  # (layers, N, hidden)
        return self.head(h_last[-1])


def lstm(inputs: int, outputs: int, hidden: int = 64, layers: int = 1) -> LastState:
    """An LSTM that reads a sequence, or an image row by row, and a linear layer on its last hidden state.

        (N, T, inputs) or (N, C, H, W) with inputs = C W -> (N, outputs)

    The weights start as in PyTorch, with 1 added to the biases of the forget gates: at first the cells then keep what
    they are given over many steps.

    Parameters
    ----------
    inputs, outputs : int
        Numbers in a step, and numbers to answer with.
    hidden : int
        Width of the hidden state.
    layers : int
        LSTMs on top of each other.

    References
    ----------
    S. Hochreiter and J. Schmidhuber, "Long Short-Term Memory", Neural Computation 9(8), 1997; R. Jozefowicz,
    W. Zaremba and I. Sutskever, "An Empirical Exploration of Recurrent Network Architectures", ICML 2015, for the
    forget gates.

    Examples
    --------
    >>> import minigrad
    >>> lstm(2, 1, hidden=8)(minigrad.zeros(5, 30, 2)).shape
    (5, 1)
    """
    recurrent = nn.LSTM(inputs, hidden, num_layers=layers, batch_first=True)
    for name, parameter in recurrent.named_parameters():
        if name.startswith("bias_ih"):
            parameter.data[hidden : 2 * hidden] += 1  # the gates stand in the order i, f, g, o
    return LastState(recurrent, outputs)


class ResidualBlock(nn.Module):
    """y = relu(x + F(x)), F being conv-norm-relu-conv-norm: what a block has to learn is the difference to its input.

    Where F changes the number of channels or, with a stride, the size, a 1x1 convolution and a norm do the same to x.

    Parameters
    ----------
    in_channels, out_channels : int
    stride : int
        Of the first convolution.

    Shapes: (N, in_channels, H, W) -> (N, out_channels, ceil(H / stride), ceil(W / stride))
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            # Without biases: the norm behind each convolution has its own.
            nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        return (self.shortcut(x) + self.residual(x)).relu()


def resnet(
    size: int = 28,
    channels: int = 1,
    classes: int = 10,
    width: int | Sequence[int] = (16, 32, 64),
    blocks: int = 2,
) -> nn.Sequential:
    """A small residual network: a convolution, stages of residual blocks, the average over the pixels, linear.

        (N, channels, size, size) -> stage k: (N, width[k], size / 2^k, size / 2^k) -> (N, width[-1]) -> (N, classes)

    Each stage but the first begins with a block of stride 2. Convolutions start from He's normal distribution.

    Parameters
    ----------
    size : int
        Height and width of the images; the stages halve it, so at least 2^(stages - 1).
    channels : int
        1 for grey images.
    classes : int
    width : int or sequence of int
        The channels of each stage.
    blocks : int
        Of each stage.

    Examples
    --------
    >>> import minigrad
    >>> model = resnet(size=8, width=(8, 16), blocks=1)
    >>> model(minigrad.zeros(2, 1, 8, 8)).shape
    (2, 10)

    References
    ----------
    K. He, X. Zhang, S. Ren and J. Sun, Deep residual learning for image recognition, arXiv:1512.03385, section 4.2
    (with projections as shortcuts, their option B).
    """
    width = (width,) if isinstance(width, int) else tuple(width)
    if not width or min(width) < 1 or min(channels, classes, blocks) < 1:
        raise ArgumentError(
            "resnet: expected positive numbers of channels, classes and blocks and a width for each stage, got "
            f"channels={channels}, classes={classes}, width={width}, blocks={blocks}."
        )
    if size < 2 ** (len(width) - 1):
        raise ArgumentError(
            f"resnet: expected images of at least {2 ** (len(width) - 1)} pixels a side for {len(width)} stages, "
            f"which halve them; got size={size}."
        )
    layers: list[nn.Module] = [
        nn.Conv2d(channels, width[0], 3, padding=1, bias=False), nn.BatchNorm2d(width[0]), nn.ReLU(),
    ]  # fmt: skip
    here = width[0]
    for stage, there in enumerate(width):
        for block in range(blocks):
            layers.append(ResidualBlock(here, there, stride=2 if stage and not block else 1))
            here = there
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(here, classes))
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return model
