"""The random numbers of dropout: known answers, the compiled hash against its twin, and statistics."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import numpy as np
import pytest

import minigrad
from minigrad.kernels import dropout

KEY = 0x299F31D0A4093822

# The authors' own answers for Philox-4x32 (file kat_vectors of their library): rounds, counter, key, words.
KNOWN = [
    (7, "00000000 00000000 00000000 00000000", "00000000 00000000", "5f6fb709 0d893f64 4f121f81 4f730a48"),
    (7, "ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "5207ddc2 45165e59 4d8ee751 8c52f662"),
    (7, "243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "4dfccaba 190a87f0 c47362ba b6b5242a"),
    (10, "00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    (10, "ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    (10, "243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def numbers(words: str) -> list[int]:
    return [int(word, 16) for word in words.split()]


@pytest.mark.parametrize(("rounds", "counter", "key", "words"), KNOWN)
def test_philox_gives_the_known_answers(rounds: int, counter: str, key: str, words: str) -> None:
    k0, k1 = numbers(key)
    assert dropout.philox(np.array(numbers(counter), np.uint32), (k0, k1), rounds).tolist() == numbers(words)


def words_of(size: int, key: int) -> np.ndarray:
    """The word that decides each element, by the rule at the head of the file."""
    element = np.arange(size, dtype=np.uint64)
    block = element // 256 * 64 + element % 64
    counter = np.stack([block, 0 * block, 0 * block, 0 * block], -1)
    return dropout.philox(counter, (key & 0xFFFFFFFF, key >> 32))[np.arange(size), element % 256 // 64]


@pytest.mark.parametrize("p", [0.001, 0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("size", [1, 63, 255, 256, 257, 1000, 50_003])
def test_the_compiled_hash_is_its_plain_twin(size: int, p: float) -> None:
    key = (KEY * (size + 1)) % 2**64
    expected = words_of(size, key) >= p * 2**32
    np.testing.assert_array_equal(dropout.keep_mask((size,), p, key), expected)
    x = np.random.default_rng(size).standard_normal(size).astype(np.float32)
    y, mask = dropout.dropout(x, p, key)
    np.testing.assert_array_equal(mask, expected)
    np.testing.assert_allclose(y, np.where(expected, x / (1 - p), 0), rtol=1e-6)
    np.testing.assert_array_equal(dropout.masked_scale(x, mask, 1 / (1 - p)), y)


@pytest.mark.parametrize("shape", [(3, 5, 7, 9), (2, 16, 8, 8), (40, 33), (2, 3, 4)], ids=str)
def test_memory_layout_and_dtype_do_not_decide_who_stays(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    y, mask = dropout.dropout(x, 0.4, KEY)
    turned = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    for other in (turned, np.asfortranarray(x), x.astype(np.float64), x.astype(np.float16)):
        y2, mask2 = dropout.dropout(other, 0.4, KEY)
        np.testing.assert_array_equal(mask2, mask)
        assert y2.dtype == other.dtype
        np.testing.assert_allclose(y2, y, rtol=2e-3)


@pytest.mark.parametrize("size", [50_000, 300_001])
def test_the_same_elements_stay_for_any_number_of_threads(size: int) -> None:
    before = minigrad.get_num_threads()
    x = np.ones(size, np.float32)
    try:
        minigrad.set_num_threads(1)
        expected, _ = dropout.dropout(x, 0.3, KEY)
        for threads in range(2, min(before, 4) + 1):
            minigrad.set_num_threads(threads)
            np.testing.assert_array_equal(dropout.dropout(x, 0.3, KEY)[0], expected)
    finally:
        minigrad.set_num_threads(before)


def test_nothing_outside_of_the_buffers_is_read_or_written() -> None:
    for size in (1, 64, 255, 256, 300, 1023):
        room = np.full(size + 512, np.nan, np.float32)
        room[256:-256] = 1
        y, mask = dropout.dropout(room[256:-256], 0.5, KEY)
        assert np.isfinite(y).all()
        out, bytes_out = np.full(size + 512, np.nan, np.float32), np.full(size + 512, 7, np.uint8)
        plan = dropout._plan(size, 0.5, KEY)
        dropout._run("dropped", plan, room[256:-256], np.float32([2]), bytes_out[256:-256], out[256:-256])
        np.testing.assert_array_equal(out[256:-256], y)
        np.testing.assert_array_equal(bytes_out[256:-256], mask)
        assert np.isnan(out[:256]).all()
        assert np.isnan(out[-256:]).all()
        assert (bytes_out[:256] == 7).all()
        assert (bytes_out[-256:] == 7).all()


def test_the_same_elements_without_compiling() -> None:
    program = (
        "import numpy as np; from minigrad.kernels import dropout;"
        f"y, mask = dropout.dropout(np.ones((3, 5, 7, 9), np.float32), 0.4, {KEY}); print(mask.tobytes().hex())"
    )
    environment = {key: value for key, value in os.environ.items() if key != "NUMBA_DISABLE_JIT"}
    found = [
        subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, check=True, text=True).stdout
        for env in (environment, {**environment, "NUMBA_DISABLE_JIT": "1"})
    ]
    assert found[0] == found[1]


# ---- statistics; each claim holds with probability 0.999 or more for truly random words, and the key is fixed ----


def test_words_are_uniform() -> None:
    """Kolmogorov-Smirnov: sqrt(n) D exceeds 1.95 with probability 0.1 %."""
    n = 100_000
    u = np.sort(words_of(n, KEY)) / 2**32
    distance = max((np.arange(1, n + 1) / n - u).max(), (u - np.arange(n) / n).max())
    assert math.sqrt(n) * distance < 1.95


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_as_many_are_dropped_as_should_be(p: float) -> None:
    n = 1_000_000
    dropped = n - int(dropout.keep_mask((n,), p, KEY).sum())
    assert abs(dropped - n * p) < 3.3 * math.sqrt(n * p * (1 - p))


@pytest.mark.parametrize("lag", [1, 2, 3, 4, 16, 63, 64, 65, 256, 1000])
def test_neighbours_decide_independently(lag: int) -> None:
    """The correlation of independent bits has the standard deviation 1 / sqrt(n)."""
    n, p = 1_000_000, 0.3
    kept = dropout.keep_mask((n,), p, KEY).astype(float) - (1 - p)
    correlation = float((kept[:-lag] * kept[lag:]).mean()) / (p * (1 - p))
    assert abs(correlation) < 3.3 / math.sqrt(n)


@pytest.mark.parametrize("other", [KEY + 1, KEY ^ (1 << 63), KEY + (1 << 32), 0])
def test_keys_that_differ_in_one_bit_are_unrelated(other: int) -> None:
    n, p = 1_000_000, 0.3
    a, b = (dropout.keep_mask((n,), p, key).astype(float) - (1 - p) for key in (KEY, other))
    assert abs(float((a * b).mean()) / (p * (1 - p))) < 3.3 / math.sqrt(n)


def test_stretches_of_eight_elements_have_every_pattern_equally_often() -> None:
    """Chi-squared of 256 patterns, 255 degrees of freedom: above 330.5 with probability 0.1 %."""
    bits = dropout.keep_mask((800_000,), 0.5, KEY).reshape(-1, 8)
    counts = np.bincount(np.packbits(bits, axis=1).ravel(), minlength=256)
    expected = len(bits) / 256
    assert ((counts - expected) ** 2 / expected).sum() < 330.5
