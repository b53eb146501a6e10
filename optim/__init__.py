"""Optimizers, learning rate schedules and gradient clipping.

    optimizer = optim.AdamW(model.parameters(), lr=optim.schedules.cosine(1e-3, T=1000))
    ...
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""

from minigrad.optim import lr_scheduler, schedules
from minigrad.optim.adam import Adam, AdamW
from minigrad.optim.clip import (
    adaptive_clip_grad_,
    clip_grad_norm_,
    clip_grad_norm_each_,
    clip_grad_value_,
    clip_grads_with_norm_,
    get_total_norm,
)
from minigrad.optim.optimizer import Optimizer
from minigrad.optim.sgd import GD, SGD, Nesterov, SGDMomentum

__all__ = [
    "GD",
    "SGD",
    "Adam",
    "AdamW",
    "Nesterov",
    "Optimizer",
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
