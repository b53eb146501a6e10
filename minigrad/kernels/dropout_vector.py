"""The compiled loops of `dropout.py`: elements in stretches, each stretch hashed and then applied in the cache.

The loops are plain ones, for LLVM to make vectors of.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.kernels.dropout import KEY_STEPS, MULTIPLIERS, ROUNDS, SIDE_BY_SIDE
from minigrad.kernels.jit import kernel
from minigrad.kernels.launch import run, task
from minigrad.kernels.tile import never_inline
from minigrad.kernels.vec import pointer_to

__all__ = ["dropped", "keep", "masked", "run"]

Pointer = Any
ZERO = np.float32(0)
STRETCH = 4 * SIDE_BY_SIDE
M0, M1 = np.uint64(MULTIPLIERS[0]), np.uint64(MULTIPLIERS[1])
STEP0, STEP1 = np.uint32(KEY_STEPS[0]), np.uint32(KEY_STEPS[1])
HALF = np.uint64(32)
NOTHING = np.uint32(0)

# The plan: elements, the key's two words, and the word from which on an element stays.
TASKS, SIZE, KEY0, KEY1, THRESHOLD = range(5)


@kernel(internal=True)
def words(block: int, key0: int, key1: int) -> tuple[int, int, int, int]:
    """`philox` of one block."""
    c0, c1, c2, c3 = np.uint32(block), np.uint32(np.uint64(block) >> HALF), NOTHING, NOTHING
    k0, k1 = key0, key1
    for _ in range(ROUNDS):
        product0, product1 = np.uint64(c0) * M0, np.uint64(c2) * M1
        c0 = np.uint32(np.uint32(product1 >> HALF) ^ c1 ^ k0)
        c2 = np.uint32(np.uint32(product0 >> HALF) ^ c3 ^ k1)
        c1, c3 = np.uint32(product1), np.uint32(product0)
        k0, k1 = np.uint32(k0 + STEP0), np.uint32(k1 + STEP1)
    return c0, c1, c2, c3


@kernel(internal=True)
def decide(mask: Pointer, stretch: int, key0: int, key1: int, threshold: int) -> None:
    """Fill mask[0 ... STRETCH - 1] for the elements of a stretch."""
    for j in range(SIDE_BY_SIDE):
        w0, w1, w2, w3 = words(stretch * SIDE_BY_SIDE + j, key0, key1)
        mask[j] = w0 >= threshold
        mask[j + SIDE_BY_SIDE] = w1 >= threshold
        mask[j + 2 * SIDE_BY_SIDE] = w2 >= threshold
        mask[j + 3 * SIDE_BY_SIDE] = w3 >= threshold


@kernel(internal=True)
def decide_some(mask: Pointer, stretch: int, count: int, key0: int, key1: int, threshold: int) -> None:
    """The first `count` elements of a stretch, one by one: the last stretch of a tensor."""
    for i in range(count):
        j, word = i % SIDE_BY_SIDE, i // SIDE_BY_SIDE
        w0, w1, w2, w3 = words(stretch * SIDE_BY_SIDE + j, key0, key1)
        chosen = w0 if word == 0 else w1 if word == 1 else w2 if word == 2 else w3
        mask[i] = chosen >= threshold


@kernel(internal=True)
def choose(x: Pointer, factor: float, y: Pointer, mask: Pointer, count: int) -> None:
    """y = x times factor where the mask is 1, else 0."""
    never_inline()
    for i in range(count):
        y[i] = x[i] * factor if mask[i] else ZERO


@task
def keep(
    x: Pointer, scale: Pointer, y: Pointer, mask: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    """Fill this task's stretches of the mask."""
    size, threshold = plan[SIZE], np.uint32(plan[THRESHOLD])
    key0, key1 = np.uint32(plan[KEY0]), np.uint32(plan[KEY1])
    stretches = (size + STRETCH - 1) // STRETCH
    for stretch in range(stretches * number // plan[TASKS], stretches * (number + 1) // plan[TASKS]):
        count = min(STRETCH, size - stretch * STRETCH)
        if count == STRETCH:
            decide(pointer_to(mask, stretch * STRETCH), stretch, key0, key1, threshold)
        else:
            decide_some(pointer_to(mask, stretch * STRETCH), stretch, count, key0, key1, threshold)


@task
def dropped(
    x: Pointer, scale: Pointer, y: Pointer, mask: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    """Fill this task's stretches of the mask, and y with x times scale where the mask is 1, else 0."""
    size, threshold, factor = plan[SIZE], np.uint32(plan[THRESHOLD]), scale[0]
    key0, key1 = np.uint32(plan[KEY0]), np.uint32(plan[KEY1])
    stretches = (size + STRETCH - 1) // STRETCH
    for stretch in range(stretches * number // plan[TASKS], stretches * (number + 1) // plan[TASKS]):
        start = stretch * STRETCH
        count = min(STRETCH, size - start)
        stays, source, out = pointer_to(mask, start), pointer_to(x, start), pointer_to(y, start)
        if count == STRETCH:
            decide(stays, stretch, key0, key1, threshold)
        else:
            decide_some(stays, stretch, count, key0, key1, threshold)
        choose(source, factor, out, stays, count)


@task
def masked(
    x: Pointer, scale: Pointer, y: Pointer, mask: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    """Fill this task's part of y with x times scale where the mask is 1, else 0."""
    first, end = plan[SIZE] * number // plan[TASKS], plan[SIZE] * (number + 1) // plan[TASKS]
    choose(pointer_to(x, first), scale[0], pointer_to(y, first), pointer_to(mask, first), end - first)
