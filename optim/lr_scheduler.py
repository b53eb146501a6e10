"""PyTorch's schedulers, with its names, signatures and results, on top of the pure schedules.

They need of an optimizer only `param_groups` with 'lr' in each, so they drive PyTorch's optimizers too.
Where they differ from PyTorch 2.13 it is on purpose:

| what | PyTorch | here |
| --- | --- | --- |
| arguments that divide by zero later (T_max=0, ...) | an error at some step | an error when built |
| loading a state | the optimizer's rates stay what they are | the saved rates are written to the optimizer |
| `step(epoch)` | warns | sets the closed form |
| SequentialLR inside SequentialLR, ChainedScheduler inside it | fails at the milestone | works |
| ReduceLROnPlateau in SequentialLR or ChainedScheduler | refused | works, `step(metric)` |
| OneCycleLR at `step(total_steps)` | rises again | stays at its last value |
| OneCycleLR past `total_steps` | an error | stays, with one warning |
| OneCycleLR with three phases that do not fit | never reaches the third | refused |
| two OneCycleLR in one SequentialLR | the second overwrites the rates of the first | each keeps its own |
| LinearLR(end_factor=0) | ends at a rounding error | ends at 0 |
| ConstantLR(factor=0) | divides by zero at `total_iters` | goes to the base learning rate |
| building with `last_epoch` on a milestone | multiplies the loaded rate once more | keeps the loaded rate |
| going on by `last_epoch`: SWALR, warm restarts past the second | begins anew, lost | goes on |
| MultiplicativeLR, `step(epoch)` | one factor | every factor up to it |
| milestones of SequentialLR that are 0 or repeated | skip a scheduler | refused |
| a group added later | an error about lengths | an error that says what to do |
| a call of `step` before `optimizer.step` | warns | is not watched |

What each does past its end stands in its docstring.
"""

from __future__ import annotations

from minigrad.optim.lr_scheduler_base import AbsoluteScheduler, ChainableScheduler, LRScheduler
from minigrad.optim.lr_scheduler_compose import ChainedScheduler, ReduceLROnPlateau, SequentialLR
from minigrad.optim.lr_scheduler_cycles import CosineAnnealingWarmRestarts, CyclicLR, OneCycleLR
from minigrad.optim.lr_scheduler_decays import (
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from minigrad.optim.lr_scheduler_extra import SWALR, ParamGroupScheduler

__all__ = [
    "SWALR",
    "AbsoluteScheduler",
    "ChainableScheduler",
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "ParamGroupScheduler",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]
