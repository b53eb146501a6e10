"""The package as its users meet it: what importing it loads, and an ordinary PyTorch program run with it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minigrad

ROOT = Path(__file__).parents[1]


def test_importing_loads_neither_numba_nor_matplotlib_nor_tqdm_nor_safetensors() -> None:
    heavy = ("numba", "matplotlib", "tqdm", "safetensors", "torch")
    code = f"import sys, minigrad; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there() -> None:
    assert all(hasattr(minigrad, name) for name in minigrad.__all__)


PROGRAM = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, kernel_size=3, padding=1)
        self.fc = nn.Linear(4 * 4 * 4, 3)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv(x)), 2)
        x = torch.flatten(x, 1)
        return self.fc(x)

device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
model = Net().to(device)
model.load_state_dict({key: torch.from_numpy(value) for key, value in weights.items()})
criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3, nesterov=True)
scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=20)
losses = []
model.train()
for step in range(20):
    inputs, targets = torch.from_numpy(images).to(device), torch.tensor(labels)
    optimizer.zero_grad()
    outputs = model(inputs)
    loss = criterion(outputs, targets)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
    optimizer.step()
    scheduler.step()
    losses.append(loss.item())
model.eval()
with torch.no_grad():
    predicted = torch.argmax(model(inputs), dim=1)
    accuracy = (predicted == targets).float().mean().item()
"""


def test_a_pytorch_program_runs_unchanged_and_gives_the_same_numbers() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    shared = {
        "images": rng.normal(size=(12, 1, 8, 8)).astype(np.float32),
        "labels": rng.integers(0, 3, 12).tolist(),
        "weights": {
            "conv.weight": rng.normal(size=(4, 1, 3, 3)).astype(np.float32) / 3,
            "conv.bias": rng.normal(size=4).astype(np.float32) / 3,
            "fc.weight": rng.normal(size=(3, 64)).astype(np.float32) / 8,
            "fc.bias": rng.normal(size=3).astype(np.float32) / 8,
        },
    }
    results = []
    for library in (torch, minigrad):
        names = {"torch": library, "nn": library.nn, "optim": library.optim, "F": library.nn.functional, **shared}
        exec(compile(PROGRAM, "program", "exec"), names)
        results.append(names)
    theirs, ours = results
    # 20 steps of float32: rounding differences of 6e-8 grow with the steps.
    np.testing.assert_allclose(ours["losses"], theirs["losses"], rtol=1e-5)
    assert ours["accuracy"] == theirs["accuracy"]


def test_a_users_own_setting_of_how_threads_wait_is_left_alone() -> None:
    code = "import os, minigrad; print(os.environ['GOMP_SPINCOUNT'], os.environ['OPENBLAS_THREAD_TIMEOUT'])"
    plain = {
        key: value for key, value in os.environ.items() if key not in ("GOMP_SPINCOUNT", "OPENBLAS_THREAD_TIMEOUT")
    }
    for own, expected in (({}, "10000 4"), ({"GOMP_SPINCOUNT": "7"}, "7 4")):
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT, capture_output=True, text=True, check=True, timeout=60, env={**plain, **own},
        )  # fmt: skip
        assert done.stdout.strip() == expected


IDLE = """
import time
import numpy as np
a = np.ones((512, 512), np.float32)
product = a @ a
import minigrad
assert (a @ a == product).all()
started = time.process_time()
time.sleep(0.2)
print(time.process_time() - started)
from minigrad.idle_threads import restart_blas_threads  # asked last: it does what the import should have done
print(restart_blas_threads())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux says which libraries are loaded")
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one processor has no threads that wait")
def test_threads_of_a_numpy_that_was_imported_first_sleep_too() -> None:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("OPENBLAS", "OMP"))}
    spent = {}
    for setting in ({}, {"OPENBLAS_THREAD_TIMEOUT": "30"}):  # with the user's own setting the threads go on spinning
        done = subprocess.run(
            [sys.executable, "-c", IDLE],
            cwd=ROOT, env={**clean, **setting}, capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        seconds, can_restart = done.stdout.split()
        if can_restart == "False":
            pytest.skip("this numpy's matrix product hides how its threads are restarted")
        spent[bool(setting)] = float(seconds)
    if spent[True] < 0.02:
        pytest.skip("this numpy's matrix product has no threads that spin")
    assert spent[False] < 0.02
