"""Layers, losses and initialisers. Names, defaults and `state_dict` keys are PyTorch's."""

from minigrad.nn import functional, init, utils
from minigrad.nn.activation import ReLU
from minigrad.nn.containers import ModuleDict, ModuleList, ParameterDict, ParameterList, Sequential
from minigrad.nn.convolution import Conv2d
from minigrad.nn.fusion import no_fusion
from minigrad.nn.linear import Flatten, Identity, Linear
from minigrad.nn.loss import CrossEntropyLoss
from minigrad.nn.module import Module, Parameter
from minigrad.nn.pooling import MaxPool2d

__all__ = [
    "Conv2d",
    "CrossEntropyLoss",
    "Flatten",
    "Identity",
    "Linear",
    "MaxPool2d",
    "Module",
    "ModuleDict",
    "ModuleList",
    "Parameter",
    "ParameterDict",
    "ParameterList",
    "ReLU",
    "Sequential",
    "functional",
    "init",
    "no_fusion",
    "utils",
]
