"""From a list of samples to one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np

from minigrad.errors import DTypeError, ShapeError
from minigrad.tensor import Tensor, from_numpy

__all__ = ["default_collate"]


def default_collate(samples: Sequence[Any]) -> Any:
    """Stack samples along a new first dimension, keeping their structure.

    Tensors, arrays and numbers become a Tensor of shape (B, ...): integers int64, floats float32, booleans
    bool. A tuple (also a named one), list or dict of such things becomes the same of batches. Strings and
    bytes stay a list.

    Parameters
    ----------
    samples : sequence
        At least one sample; all have the same structure.

    Returns
    -------
    Tensor, tuple, list or dict
        The batch.

    Raises
    ------
    ShapeError
        Samples differ in shape or in structure.
    DTypeError
        There is no rule for a sample of this type.

    References
    ----------
    torch.utils.data.default_collate; it makes float64 of Python floats, here they are float32, the default
    dtype.

    Examples
    --------
    >>> batch = default_collate([(np.zeros(3, np.float32), 1), (np.ones(3, np.float32), 0)])
    >>> batch[0].shape, batch[1].numpy().tolist()
    ((2, 3), [1, 0])
    """
    if not samples:
        raise ShapeError("default_collate: expected at least one sample, got none. Check the batch size.")
    first = samples[0]
    if isinstance(first, (Tensor, np.ndarray, np.generic)):
        return from_numpy(_stack([_array(sample, type(first)) for sample in samples]))
    if isinstance(first, bool):
        return from_numpy(np.array(samples, dtype=np.bool_))
    if isinstance(first, Integral):
        # A float among the ints would be cut off without a word.
        dtype = np.int64 if all(isinstance(sample, Integral) for sample in samples) else np.float32
        return from_numpy(np.array(samples, dtype=dtype))
    if isinstance(first, Real):
        return from_numpy(np.array(samples, dtype=np.float32))
    if isinstance(first, (str, bytes)):
        return list(samples)
    if isinstance(first, Mapping):
        if any(sample.keys() != first.keys() for sample in samples):
            raise ShapeError(
                f"default_collate: expected the keys {sorted(first)} in every sample, got others in some. "
                "Give all samples the same keys or pass collate_fn."
            )
        return {key: default_collate([sample[key] for sample in samples]) for key in first}
    if isinstance(first, Sequence):
        if any(len(sample) != len(first) for sample in samples):
            raise ShapeError(
                f"default_collate: expected samples of {len(first)} parts, got lengths "
                f"{sorted({len(sample) for sample in samples})}. Give all the same parts or pass collate_fn."
            )
        parts = [default_collate(part) for part in zip(*samples, strict=True)]
        if hasattr(first, "_fields"):
            return type(first)(*parts)
        return tuple(parts) if isinstance(first, tuple) else parts
    raise DTypeError(
        "default_collate: expected tensors, arrays, numbers, strings or tuples, lists and dicts of them, "
        f"got {type(first).__name__}. Pass collate_fn to the DataLoader."
    )


def _array(sample: Any, kind: type) -> np.ndarray:
    if not isinstance(sample, (Tensor, np.ndarray, np.generic)):
        raise DTypeError(
            f"default_collate: expected every sample to be a {kind.__name__} like the first, got "
            f"{type(sample).__name__}. Make them one type or pass collate_fn."
        )
    return sample.data if isinstance(sample, Tensor) else np.asarray(sample)


def _stack(arrays: list[np.ndarray]) -> np.ndarray:
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        raise ShapeError(
            f"default_collate: expected samples of one shape, got {sorted(shapes)}. "
            "Crop or pad them to the same size or pass collate_fn."
        )
    return np.stack(arrays)
