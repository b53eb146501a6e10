"""Optimizers, learning rate schedules and gradient clipping.

    optimizer = optim.AdamW(model.parameters(), lr=optim.schedules.cosine(1e-3, T=1000))
    ...
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""

from minigrad.optim import lr_scheduler, schedules
from minigrad.optim.adagrad import Adagrad, AdaGrad
from minigrad.optim.adam import Adam, AdamW
from minigrad.optim.adam_variants import Adamax, NAdam, RAdam
from minigrad.optim.clip import (
    adaptive_clip_grad_,
    clip_grad_norm_,
    clip_grad_norm_each_,
    clip_grad_value_,
    clip_grads_with_norm_,
    get_total_norm,
)
from minigrad.optim.optimizer import Optimizer
from minigrad.optim.rmsprop import Adadelta, RMSprop
from minigrad.optim.rprop import ASGD, Rprop
from minigrad.optim.sgd import GD, SGD, Nesterov, SGDMomentum

__all__ = [
    "ASGD",
    "GD",
    "SGD",
    "AdaGrad",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "NAdam",
    "Nesterov",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "SGDMomentum",
    "adaptive_clip_grad_",
    "clip_grad_norm_",
    "clip_grad_norm_each_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "get_total_norm",
    "lr_scheduler",
    "schedules",
]
