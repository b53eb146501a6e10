"""The driver of the vector kernels: each task runs once, and tasks of a slow worker are taken over."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest

from minigrad.kernels.jit import get_num_threads, jit_disabled, set_num_threads, threads_if, uncollected
from minigrad.kernels.launch import run, take, task

pytestmark = pytest.mark.skipif(jit_disabled(), reason="vectors exist in compiled code only")

Pointer = Any
PLAN = np.zeros(4, np.int64)


@task
def count(
    a: Pointer, b: Pointer, c: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    c[number] += 1
    work[number] = worker


@task
def wait_for_the_others(
    a: Pointer, b: Pointer, c: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    """Task 0 goes on until every other task is done, or for some seconds."""
    if number:
        c[number] = 1
    else:
        done, turns = 0.0, 0
        while done < plan[0] - 1 and turns < plan[1]:
            turns += 1
            take(plan, 2)  # after it, memory must be read again
            done = 0.0
            for i in range(1, plan[0]):
                done += c[i]
        c[0] = done


@pytest.mark.parametrize("tasks", [1, 2, 3, 16, 17, 1000])
@pytest.mark.parametrize("parallel", [False, True])
def test_each_task_runs_once(tasks: int, parallel: bool) -> None:
    times, workers = np.zeros((1, 1, 1, tasks), np.float32), np.full(tasks, -1, np.float32)
    run(count, tasks, PLAN, workers, c=times, workers=threads_if(parallel))
    assert (times == 1).all()
    assert workers.min() == 0 if not parallel else workers.min() >= 0
    assert workers.max() < (get_num_threads() if parallel else 1)


@pytest.mark.skipif(not jit_disabled() and get_num_threads() < 2, reason="one processor")
def test_tasks_of_a_slow_worker_are_taken_over() -> None:
    tasks = 8
    plan = np.array([tasks, 200_000_000, 0, 0])
    done = np.zeros((1, 1, 1, tasks), np.float32)
    run(wait_for_the_others, tasks, plan, np.zeros(1, np.float32), c=done, workers=get_num_threads())
    # Tasks 1, 2, ... come after task 0 in the share of its worker: only another one can have done them.
    assert done.ravel().tolist() == [tasks - 1] + [1] * (tasks - 1)


def test_one_thread_runs_them_in_order() -> None:
    before = get_num_threads()
    workers = np.full(5, -1, np.float32)
    try:
        set_num_threads(1)
        run(count, 5, PLAN, workers, c=np.zeros((1, 1, 1, 5), np.float32), workers=get_num_threads())
    finally:
        set_num_threads(before)
    assert (workers == 0).all()


def test_the_collector_rests_for_a_while_and_is_left_as_it_was() -> None:
    assert gc.isenabled()
    with uncollected():
        assert not gc.isenabled()
        with uncollected():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()
