"""SWALR, and the scheduler that sets any hyper-parameter of any optimizer from pure schedules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from minigrad.errors import ArgumentError
from minigrad.optim import schedule_checks as check
from minigrad.optim.lr_scheduler_base import LRScheduler, write
from minigrad.optim.schedule_base import Schedule
from minigrad.optim.schedules import constant, cosine, linear

__all__ = ["SWALR", "ParamGroupScheduler"]


class SWALR(LRScheduler):
    """Anneal from the present learning rate to `swa_lr` in `anneal_epochs` steps; past them it stays there.

        lr_t = (1 - a(t)) lr + a(t) swa_lr, with a(t) = t/anneal_epochs or ½ (1 - cos(πt/anneal_epochs))

    where lr is what the learning rate would be without it, so it works beside another scheduler.

    Parameters
    ----------
    optimizer : any object with `param_groups`
    swa_lr : float, or list with one for each group
        The learning rate to hold while weights are averaged.
    anneal_epochs : int
        The number of steps of the annealing; 0 is at once.
    anneal_strategy : {'cos', 'linear'}
        The shape of a(t).
    last_epoch : int
        See `LRScheduler`.

    References
    ----------
    P. Izmailov et al., Averaging Weights Leads to Wider Optima and Better Generalization (arXiv:1803.05407).

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import optim
    >>> from minigrad.optim import lr_scheduler
    >>> optimizer = optim.SGD([minigrad.zeros(1, requires_grad=True)], lr=1.0)
    >>> scheduler = lr_scheduler.SWALR(optimizer, swa_lr=0.2, anneal_epochs=2, anneal_strategy="linear")
    >>> rates = [optimizer.lr]
    >>> for _ in range(3):
    ...     optimizer.step()
    ...     scheduler.step()
    ...     rates.append(round(optimizer.lr, 6))
    >>> rates
    [1.0, 0.6, 0.2, 0.2]
    """

    hyper_parameters = ("anneal_epochs", "_anneal_strategy", "swa_lrs")
    own_state = ("swa_lrs",)

    def __init__(
        self,
        optimizer: Any,
        swa_lr: float | list[float],
        anneal_epochs: int = 10,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        last_epoch: int = -1,
    ) -> None:
        self.swa_lrs = self._for_each_group("swa_lr", swa_lr, len(self._groups_of(optimizer, last_epoch)))
        self.anneal_epochs = anneal_epochs
        self._anneal_strategy = anneal_strategy
        self._validate()
        for group, swa_lr_of_group in zip(optimizer.param_groups, self.swa_lrs, strict=True):
            # Not read here: PyTorch keeps it in the groups, and finds it in a saved state.
            group["swa_lr"] = swa_lr_of_group
        super().__init__(optimizer, last_epoch)

    def _validate(self) -> None:
        check.integer("SWALR", "anneal_epochs", self.anneal_epochs, at_least=0)
        check.choice("SWALR", "anneal_strategy", self._anneal_strategy, ("cos", "linear"))

    @property
    def schedule(self) -> Schedule:
        """The pure schedule of a, the part that `swa_lr` has in the learning rate."""
        if self.anneal_epochs == 0:
            return constant(1.0)
        if self._anneal_strategy == "linear":
            return linear(0.0, 1.0, self.anneal_epochs)
        return cosine(alpha_max=0.0, T=self.anneal_epochs, alpha_min=1.0)

    def get_lr(self) -> list[float]:
        t = self.last_epoch
        a = self.schedule(t)
        before = self.schedule(t - 1) if t > 0 else 0.0
        lrs = []
        for lr, swa_lr in zip(self._read(), self.swa_lrs, strict=True):
            without = swa_lr if before == 1.0 else (lr - before * swa_lr) / (1.0 - before)
            lrs.append(swa_lr * a + without * (1.0 - a))
        return lrs

    def _restart(self) -> None:
        # It anneals from whatever learning rate is there, also at a milestone.
        self._begin()

    def _resume(self) -> None:
        self._last_lr = self._read()


class ParamGroupScheduler:
    """Set any hyper-parameters of an optimizer from pure schedules, one value a step.

    minigrad's optimizers take schedules themselves; this gives them to an optimizer of any make that has
    `param_groups`. It is at step 0 when built, and `step()` goes one on.

    Parameters
    ----------
    optimizer : any object with `param_groups`
    schedules : mapping from the name of an entry of the groups to its schedule
        A list has one schedule for each group. A tuple, as for betas, has schedules and numbers for the
        places of a tuple. Past their ends the schedules do what their own descriptions say.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from minigrad.optim.schedules import cosine, warmup
    >>> optimizer = SimpleNamespace(param_groups=[{"lr": 0.0, "betas": (0.9, 0.999)}])
    >>> beta1 = cosine(0.95, T=2, alpha_min=0.85)
    >>> lr = warmup(2).then(cosine(0.1, T=8))
    >>> scheduler = ParamGroupScheduler(optimizer, {"lr": lr, "betas": (beta1, 0.999)})
    >>> for _ in range(2):
    ...     scheduler.step()
    >>> optimizer.param_groups
    [{'lr': 0.1, 'betas': (0.85, 0.999)}]
    """

    def __init__(self, optimizer: Any, schedules: Mapping[str, Any]) -> None:
        groups = getattr(optimizer, "param_groups", None)
        if not isinstance(groups, list) or not groups:
            raise ArgumentError(
                f"ParamGroupScheduler: expected an optimizer with param_groups, got {type(optimizer).__name__}."
            )
        if not isinstance(schedules, Mapping) or not schedules:
            raise ArgumentError(f"ParamGroupScheduler: expected names with schedules, got {schedules!r}.")
        per_group: list[dict[str, Any]] = [{} for _ in groups]
        for name, entry in schedules.items():
            entries = entry if isinstance(entry, list) else [entry] * len(groups)
            if len(entries) != len(groups):
                raise ArgumentError(
                    f"ParamGroupScheduler: expected one schedule for {name!r} or a list of {len(groups)}, "
                    f"one for each group, got {len(entries)}."
                )
            for i, (group, own, chosen) in enumerate(zip(groups, entries, per_group, strict=True)):
                self._check(name, i, group, own)
                chosen[name] = own
        self.optimizer = optimizer
        self._schedules = per_group
        self._set(0)

    @staticmethod
    def _check(name: str, i: int, group: dict[str, Any], entry: Any) -> None:
        if name not in group:
            raise ArgumentError(
                f"ParamGroupScheduler: expected one of the entries of param_groups[{i}], "
                f"{', '.join(key for key in group if key != 'params')}; got {name!r}."
            )
        parts = entry if isinstance(entry, tuple) else (entry,)
        if not all(isinstance(part, Schedule | int | float) for part in parts):
            raise ArgumentError(f"ParamGroupScheduler: expected schedules for {name!r}, got {entry!r}.")
        if isinstance(entry, tuple) != isinstance(group[name], tuple | list) or (
            isinstance(entry, tuple) and len(entry) != len(group[name])
        ):
            raise ArgumentError(
                f"ParamGroupScheduler: expected for {name!r} the form of its value {group[name]!r}, got {entry!r}."
            )

    def step(self) -> None:
        """Go one step on, after the optimizer's own `step`."""
        self._set(self.last_epoch + 1)

    def _set(self, t: int) -> None:
        self.last_epoch = t
        for group, schedules in zip(self.optimizer.param_groups, self._schedules, strict=True):
            for name, entry in schedules.items():
                if isinstance(entry, tuple):
                    group[name] = tuple(_value(part, t) for part in entry)
                else:
                    write(group, name, _value(entry, t))

    def state_dict(self) -> dict[str, Any]:
        """Return the state: the step. The schedules are pure, so nothing else is needed."""
        return {"last_epoch": self.last_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go to the step of a saved state and set the values of that step."""
        if "last_epoch" not in state_dict:
            raise ArgumentError(
                f"ParamGroupScheduler.load_state_dict: expected 'last_epoch', got {', '.join(state_dict)}."
            )
        self._set(check.integer("ParamGroupScheduler", "last_epoch", state_dict["last_epoch"], at_least=0))


def _value(entry: Schedule | float, t: int) -> float:
    return entry(t) if isinstance(entry, Schedule) else entry
