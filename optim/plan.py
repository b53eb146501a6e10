"""Which blocks the parameters of a group are updated in, decided anew when it has to be."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.optim.arena import Arena, Block, Cell, arrange

__all__ = ["Plan"]


class Plan:
    """The cells of one parameter group, and the arenas that hold them.

    Usually a step finds every arena whole and takes them as they are. Otherwise it takes single tensors. When two
    steps in a row had to do that in the same way (a layer was frozen, parameters were rebound), the arenas are laid
    out again for what there is now.

    Parameters
    ----------
    cells : one for each parameter
    fused : bool
        False for optimizers whose update is not one of single elements: they have no arenas.
    """

    def __init__(self, cells: list[Cell], fused: bool) -> None:
        self.arenas: list[Arena] = []
        self.cells = cells
        self.fused = fused
        self.loose = cells
        self._singly = False
        self._last_pattern: Any = None
        self._arranged_for: Any = None
        if fused:
            self._arrange([cell for cell in cells if cell.tensor.requires_grad])

    def __del__(self) -> None:
        self._dissolve()

    def _dissolve(self) -> None:
        for arena in self.arenas:
            arena.dissolve()

    def _arrange(self, wanted: list[Cell]) -> None:
        self._dissolve()
        self.arenas = arrange(self.cells, wanted)
        self.loose = [cell for cell in self.cells if cell.arena is None]

    def whole(self) -> bool:
        """True when the arenas are all there is to update."""
        return not self.loose and all(map(Arena.whole, self.arenas))

    def blocks(self) -> list[Block]:
        """What to update in this step: arenas that are whole, and else the tensors that have a gradient."""
        blocks: list[Block] = []
        single = list(self.loose)
        for arena in self.arenas:
            if arena.whole():
                blocks.append(arena)
            else:
                arena.split()
                single += arena.cells()
        for cell in single:
            if cell.tensor._grad is not None:
                cell.load()
                blocks.append(cell)
                self._singly = True
        return blocks

    def settle(self) -> None:
        """After the update: bring together what was split, or arrange the arenas anew."""
        if not self._singly or not self.fused:
            return
        self._singly = False
        for arena in self.arenas:
            if not arena.whole_state:
                arena.join()
        pattern = self._pattern()
        if pattern == self._last_pattern and pattern != self._arranged_for:
            self._arrange([cell for cell in self.cells if cell.tensor._grad is not None])
            self._arranged_for = pattern = self._pattern()
        self._last_pattern = pattern

    def _pattern(self) -> list[tuple[int, bool]]:
        return [(id(cell.tensor._data), cell.tensor._grad is None) for cell in self.cells]

    def state_of(self, cell: Cell) -> dict[str, Any]:
        """The state of one parameter: flat arrays that share the optimizer's memory, and numbers."""
        arena = cell.arena
        if arena is None or not arena.whole_state:
            return cell.state
        return {
            name: value[cell.place] if isinstance(value, np.ndarray) else value for name, value in arena.state.items()
        }

    def replace_states(self, states: list[dict[str, Any]]) -> None:
        """Give each cell another state: flat arrays and numbers, which are copied."""
        for arena in self.arenas:
            arena.split()
        for cell, state in zip(self.cells, states, strict=True):
            cell.state = dict(state)
        if self.fused:
            self._arrange([cell for cell in self.cells if cell.tensor.requires_grad])

    def zero_grad(self) -> None:
        """Set the gradients to None."""
        for arena in self.arenas:
            arena.release_gradients()
        for cell in self.loose:
            cell.tensor._grad = None

    def fill_grad_with_zeros(self) -> None:
        """Set the gradients that are there to zero, in place where no graph hangs on them."""
        for cell in self.cells:
            grad = cell.tensor._grad
            if grad is not None and grad.node is None:
                grad.zero_()
            elif grad is not None:
                cell.tensor._grad = grad.detach().clone().zero_()
