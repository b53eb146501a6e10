"""Optimizers, learning rate schedules and gradient clipping.

    optimizer = optim.AdamW(model.parameters(), lr=optim.schedules.cosine(1e-3, T=1000))
    ...
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

| file | what is in it |
| --- | --- |
| `optimizer`, `parameters`, `hyper`, `arena`, `plan`, `saved`, `on_arrays` | what all optimizers share |
| `sgd`, `adagrad`, `rmsprop`, `adam` | those of the course |
| `adam_variants`, `rprop`, `adafactor`, `muon`, `lbfgs` | the others of `torch.optim` |
| `lion`, `layerwise`, `adaptive_variants`, `schedulefree`, `prodigy` | those that PyTorch does not have |
| `wrapper`, `lookahead`, `sam`, `composite`, `swa_utils` | optimizers around optimizers, averages of weights |
| `clip`, `groups`, `table` | gradient clipping, groups for weight decay, the table of all optimizers |
| `schedules`, `lr_scheduler` | learning rates: as functions of the step, and as PyTorch has them |
"""

from minigrad.optim import lr_scheduler, schedules, swa_utils
from minigrad.optim.adafactor import Adafactor
from minigrad.optim.adagrad import AdaGrad, Adagrad
from minigrad.optim.adam import Adam, AdamW
from minigrad.optim.adam_variants import Adamax, NAdam, RAdam
from minigrad.optim.adaptive_variants import AdaBelief, Adan, Yogi
from minigrad.optim.clip import (
    adaptive_clip_grad_,
    clip_grad_norm_,
    clip_grad_norm_each_,
    clip_grad_value_,
    clip_grads_with_norm_,
    get_total_norm,
)
from minigrad.optim.composite import Composite
from minigrad.optim.groups import decay_groups
from minigrad.optim.layerwise import LAMB, LARS
from minigrad.optim.lbfgs import LBFGS
from minigrad.optim.lion import Lion
from minigrad.optim.lookahead import Lookahead
from minigrad.optim.lr_finder import lr_range_test
from minigrad.optim.muon import Muon
from minigrad.optim.optimizer import Optimizer
from minigrad.optim.prodigy import Prodigy
from minigrad.optim.rmsprop import Adadelta, RMSprop
from minigrad.optim.rprop import ASGD, Rprop
from minigrad.optim.sam import SAM
from minigrad.optim.schedulefree import ScheduleFreeAdamW, ScheduleFreeSGD
from minigrad.optim.sgd import GD, SGD, Nesterov, SGDMomentum
from minigrad.optim.wrapper import accumulate

__all__ = [
    "ASGD",
    "GD",
    "LAMB",
    "LARS",
    "LBFGS",
    "SAM",
    "SGD",
    "AdaBelief",
    "AdaGrad",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Adan",
    "Composite",
    "Lion",
    "Lookahead",
    "Muon",
    "NAdam",
    "Nesterov",
    "Optimizer",
    "Prodigy",
    "RAdam",
    "RMSprop",
    "Rprop",
    "SGDMomentum",
    "ScheduleFreeAdamW",
    "ScheduleFreeSGD",
    "Yogi",
    "accumulate",
    "adaptive_clip_grad_",
    "clip_grad_norm_",
    "clip_grad_norm_each_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "decay_groups",
    "get_total_norm",
    "lr_range_test",
    "lr_scheduler",
    "schedules",
    "swa_utils",
]
