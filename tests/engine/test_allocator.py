"""A training step of fixed shape takes no new memory from the operating system after the first ones."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from minigrad import allocator

GLIBC = sys.platform == "linux" and platform.libc_ver()[0] == "glibc"

# Arrays of 12 MB unfused: more than malloc would ever keep by itself. A page is 4 kB: the defaults give thousands.
STEPS = """
import resource
import numpy as np
import minigrad
from minigrad import nn, optim

minigrad.set_num_threads(1)
model = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(3136, 10))
optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
x = minigrad.randn(256, 1, 28, 28)
y = minigrad.from_numpy(np.arange(256) % 10)

def step():
    loss = nn.functional.cross_entropy(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

def page_faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

with nn.no_fusion():
    for _ in range(3):
        step()
    before = page_faults()
    for _ in range(20):
        step()
print((page_faults() - before) / 20)
"""


def faults(**environment: str) -> float:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", STEPS], env={**clean, **environment}, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


@pytest.mark.skipif(not GLIBC, reason="only glibc's malloc has these settings")
def test_steps_of_fixed_shape_cause_no_page_faults():
    assert faults() < 5


@pytest.mark.skipif(not GLIBC, reason="only glibc's malloc has these settings")
def test_settings_of_the_user_are_left_alone():
    assert faults(MALLOC_TRIM_THRESHOLD_="131072") > 500


def test_a_c_library_without_the_settings_is_no_error(monkeypatch):
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda name: object())
    assert allocator.keep_freed_memory() is False
