"""Layers, losses and initialisers. Names, defaults and `state_dict` keys are PyTorch's."""

from minigrad.nn import functional, init, utils
from minigrad.nn.activation import ReLU
from minigrad.nn.containers import ModuleDict, ModuleList, ParameterDict, ParameterList, Sequential
from minigrad.nn.convolution import Conv2d
from minigrad.nn.fusion import no_fusion
from minigrad.nn.linear import Flatten, Identity, Linear
from minigrad.nn.loss import CrossEntropyLoss
from minigrad.nn.module import Module, Parameter
from minigrad.nn.normalization import (
    BatchNorm1d,
    BatchNorm2d,
    GroupNorm,
    InstanceNorm1d,
    InstanceNorm2d,
    LayerNorm,
    RMSNorm,
)
from minigrad.nn.pooling import MaxPool2d
from minigrad.nn.recurrent import GRU, LSTM, RNN
from minigrad.nn.recurrent_cells import GRUCell, LSTMCell, RNNCell

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "BatchNorm1d",
    "BatchNorm2d",
    "Conv2d",
    "CrossEntropyLoss",
    "Flatten",
    "GRUCell",
    "GroupNorm",
    "Identity",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "LSTMCell",
    "LayerNorm",
    "Linear",
    "MaxPool2d",
    "Module",
    "ModuleDict",
    "ModuleList",
    "Parameter",
    "ParameterDict",
    "ParameterList",
    "RMSNorm",
    "RNNCell",
    "ReLU",
    "Sequential",
    "functional",
    "init",
    "no_fusion",
    "utils",
]
