"""The geometry of pooling: which numbers each window sees, and which windows see each number.

A plan is one array of integers: a header and three tables. For each row i of the result, the first window row p that
lies inside x, and the one after the last; the same for columns. For each row h of x, the first row i of the result
whose window reaches it, the one after the last, and the position of h in each of these windows.
"""

from __future__ import annotations

import functools

import numpy as np

__all__ = ["average_divisors", "pool_plan", "pooled_length"]

Pair = tuple[int, int]
Shape = tuple[int, ...]

# What stands where in the header. Strides are counted in elements.
(
    SAMPLES,
    CHANNELS,
    HEIGHT,  # of x
    WIDTH,
    SAMPLE_STRIDE,
    ROW_STRIDE,
    PIXEL_STRIDE,
    ROWS,  # of y
    COLUMNS,
    OUT_SAMPLE,  # strides of y
    OUT_ROW,
    OUT_PIXEL,
    INDEX_SAMPLE,  # strides of the window positions
    INDEX_ROW,
    INDEX_PIXEL,
    WINDOW_COLUMNS,
    ROW_STEP,
    COLUMN_STEP,
    TOP,  # padding
    LEFT,
    DOWN,  # in x, from one row of a window to the next
    RIGHT,
    RELU,
    TASKS,
    WINDOW_ROWS_OF,  # where the tables are: for each row of y
    WINDOW_COLUMNS_OF,  # for each column of y
    ROWS_OF,  # for each row of x
    ROWS_OF_LENGTH,  # and how long an entry is
    HEADER,
) = range(29)


def pooled_length(size: int, window: int, stride: int, pad: int, dilation: int, ceil_mode: bool) -> int:
    """How many windows fit; less than one if none does.

    In ceil mode a window that would begin in the padding at the end is left out, as in PyTorch.

    Examples
    --------
    >>> [pooled_length(7, 2, 2, 0, 1, ceil_mode) for ceil_mode in (False, True)]
    [3, 4]
    """
    room = size + 2 * pad - dilation * (window - 1) - 1
    if not ceil_mode:
        return room // stride + 1
    count = -(-room // stride) + 1
    return count - 1 if (count - 1) * stride >= size + pad else count


def _inside(size: int, count: int, window: int, stride: int, pad: int, dilation: int) -> np.ndarray:
    """For each window, the range of its positions that lie inside x: 0 <= i*s + p*d - pad < size."""
    start = np.arange(count) * stride - pad
    first = np.maximum(0, -(start // dilation))
    last = np.minimum(window, -((start - size) // dilation))
    return np.stack([first, np.maximum(first, last)], axis=1)


def _reaching(size: int, count: int, window: int, stride: int, pad: int, dilation: int) -> np.ndarray:
    """For each number h, the first window that reaches over it, the one after the last, and its position in each.

    Window i has h at position p if h + pad = i*s + p*d; -1 stands for a number that falls in a gap of the dilation.
    """
    place = np.arange(size) + pad
    first = np.maximum(0, -((dilation * (window - 1) - place) // stride))
    last = np.maximum(first, np.minimum(count, place // stride + 1))
    i = first[:, None] + np.arange(np.max(last - first, initial=0))
    distance = place[:, None] - i * stride
    position = np.where(distance % dilation == 0, distance // dilation, -1)
    return np.concatenate([first[:, None], last[:, None], position], axis=1)


@functools.lru_cache(maxsize=512)
def pool_plan(
    x_shape: Shape,
    x_strides: Shape,
    y_shape: Shape,
    y_strides: Shape,
    window: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    relu: bool,
    tasks: int,
    index_strides: Shape | None = None,
) -> np.ndarray:
    """The plan for pooling x to y, or for the way back; strides are those of float32 arrays, in bytes.

    The window positions are an array of bytes with the layout of y, unless `index_strides` says otherwise.
    """
    n, c, height, width = x_shape
    _, _, rows, columns = y_shape
    axes = [(x_shape[2 + i], y_shape[2 + i], window[i], stride[i], padding[i], dilation[i]) for i in (0, 1)]
    tables = [_inside(*axes[0]), _inside(*axes[1]), _reaching(*axes[0])]
    x_sample, _, x_row, x_pixel = (s // 4 for s in x_strides)
    y_sample, _, y_row, y_pixel = (s // 4 for s in y_strides)
    if index_strides is None:
        index_strides = (y_sample, 1, y_row, y_pixel)
    header = [n, c, height, width, x_sample, x_row, x_pixel, rows, columns, y_sample, y_row, y_pixel]
    header += [index_strides[0], index_strides[2], index_strides[3], window[1], *stride, *padding]
    header += [dilation[0] * x_row, dilation[1] * x_pixel, relu, tasks]
    starts = HEADER + np.cumsum([0, *(table.size for table in tables)])
    header += [starts[0], starts[1], starts[2], tables[2].shape[1]]
    return np.concatenate([np.array(header, np.int64), *(table.ravel() for table in tables)])


@functools.lru_cache(maxsize=256)
def average_divisors(
    x_shape: Shape,
    y_shape: Shape,
    window: Pair,
    stride: Pair,
    padding: Pair,
    count_include_pad: bool,
    divisor_override: int | None,
) -> np.ndarray:
    """divisor[i, j] of an average pooling: the numbers, or numbers and padding, under each window.

    Examples
    --------
    >>> average_divisors((1, 1, 3, 3), (1, 1, 2, 2), (2, 2), (2, 2), (1, 1), False, None)
    array([[1., 2.],
           [2., 4.]])
    """
    if divisor_override is not None:
        return np.full(y_shape[2:], float(divisor_override))
    counts = []
    for i in (0, 1):
        size, pad = x_shape[2 + i], padding[i]
        start = np.arange(y_shape[2 + i]) * stride[i] - pad
        end = np.minimum(start + window[i], size + pad)
        if not count_include_pad:
            start, end = np.maximum(start, 0), np.minimum(end, size)
        counts.append((end - start).astype(float))
    return np.multiply.outer(*counts)
