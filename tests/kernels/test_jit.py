"""How kernels are compiled, kept, and run on threads."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import minigrad.kernels.cache as cache_module
from minigrad.errors import ArgumentError
from minigrad.kernels.jit import get_num_threads, jit_disabled, kernel, load_numba, prange, set_num_threads

compiled_only = pytest.mark.skipif(jit_disabled(), reason="about compiled code")


@kernel(internal=True)
def square(x: float) -> float:
    return x * x


@kernel
def sum_of_squares(x: np.ndarray) -> float:
    s = x.dtype.type(0)
    for i in range(x.size):
        s += square(x[i])
    return s


@kernel(parallel=True)
def add_index(x: np.ndarray) -> None:
    for i in prange(x.size):
        x[i] += i


@kernel
def quotient_and_nan(x: np.ndarray) -> None:
    x[0] = x[0] / x[1]
    x[2] = np.isnan(x[3])


def python(code: str, cache: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a new interpreter."""
    settings = {**os.environ, **environment}
    if cache is not None:
        settings["NUMBA_CACHE_DIR"] = str(cache)
    root = str(Path(__file__).parents[2])
    settings["PYTHONPATH"] = os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), root])
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=settings, check=False)


def test_a_kernel_calls_another_by_its_name() -> None:
    assert sum_of_squares(np.array([1.0, 2.0, 3.0])) == 14


def test_serial_and_parallel_forms_do_the_same() -> None:
    x, y = np.zeros(1000), np.zeros(1000)
    add_index(x)
    add_index.serial(y)
    np.testing.assert_array_equal(x, np.arange(1000))
    np.testing.assert_array_equal(y, np.arange(1000))


@compiled_only
def test_division_by_zero_and_nan_are_numpys() -> None:
    x = np.array([1.0, 0.0, 0.0, np.nan])
    quotient_and_nan(x)
    assert x[0] == np.inf
    assert x[2] == 1


@compiled_only
def test_python_threads_may_run_parallel_kernels_at_the_same_time() -> None:
    arrays = [np.zeros(5000) for _ in range(4)]

    def work(x: np.ndarray) -> None:
        for _ in range(20):
            add_index(x)

    threads = [threading.Thread(target=work, args=(x,)) for x in arrays]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for x in arrays:
        np.testing.assert_array_equal(x, 20.0 * np.arange(5000))


def test_set_num_threads_is_read_back_and_refuses_what_cannot_be() -> None:
    before = get_num_threads()
    try:
        set_num_threads(1)
        assert get_num_threads() == 1
        for bad in (0, -1, 10_000, 1.5, True):
            with pytest.raises(ArgumentError, match="NUMBA_NUM_THREADS"):
                set_num_threads(bad)
        assert get_num_threads() == 1
    finally:
        set_num_threads(before)


def test_importing_the_array_functions_does_not_import_numba() -> None:
    done = python(
        "import sys, minigrad.kernels.conv, minigrad.kernels.pool, minigrad.kernels.loss\nprint('numba' in sys.modules)"
    )
    assert done.stdout == "False\n", done.stderr


SMALL = """
import numpy as np
from minigrad.kernels.loss import softmax_cross_entropy
print(softmax_cross_entropy(np.zeros((2, 4), np.float32), np.array([1, 2])).losses.tolist())
"""


@compiled_only
def test_the_cache_is_filled_once_used_again_and_survives_damage(tmp_path: Path) -> None:
    announcement = r"minigrad: compiling kernels, first run only \(rows_forward, ...; kept in .*\)\n"
    first = python(SMALL, tmp_path)
    assert re.fullmatch(announcement, first.stderr), first.stderr
    second = python(SMALL, tmp_path)
    assert second.stderr == ""
    files = [file for file in tmp_path.rglob("*") if file.suffix in (".nbi", ".nbc")]
    assert {file.suffix for file in files} == {".nbi", ".nbc"}
    for keep in (0, 200):
        for file in files:
            file.write_bytes(file.read_bytes()[:keep])
        damaged = python(SMALL, tmp_path)
        assert re.fullmatch(announcement, damaged.stderr), damaged.stderr
        assert damaged.stdout == first.stdout
    assert python(SMALL, tmp_path).stderr == ""


@compiled_only
def test_without_a_writable_folder_nothing_is_kept_and_everything_works(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(function: object, form: str) -> None:
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr(cache_module, "KernelCache", nowhere)
    fresh = kernel(sum_of_squares.function)
    assert fresh(np.array([3.0, 4.0])) == 25
    assert isinstance(fresh.dispatcher._cache, cache_module.NoCache)


@compiled_only
def test_a_full_disk_is_reported_once(capsys: pytest.CaptureFixture[str]) -> None:
    cache_module._said.discard("unsaved")
    cache = cache_module.open_cache(sum_of_squares.function, "serial")
    error = OSError(28, "No space left on device")
    for _ in range(2):
        cache_module._warn_unsaved(cache.cache_path, error)
    assert capsys.readouterr().err.count("cannot be kept") == 1


@compiled_only
def test_an_entry_is_stale_when_any_kernel_file_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    context = load_numba().core.registry.cpu_target.target_context
    sum_of_squares(np.zeros(3))
    signature = sum_of_squares.dispatcher.signatures[0]
    assert cache_module.open_cache(sum_of_squares.function, "serial").load_overload(signature, context) is not None
    monkeypatch.setattr(cache_module, "_folder_stamp", lambda: (("vec.py", 0, 0),))
    assert cache_module.open_cache(sum_of_squares.function, "serial").load_overload(signature, context) is None


# The same numbers from every kernel, as text: hashes of the bits, or rounded.
ALL_KERNELS = """
import hashlib, sys
import numpy as np
from minigrad import from_numpy, nn
from minigrad.kernels import conv, conv_pool, pool
from minigrad.kernels.jit import get_num_threads, set_num_threads
from minigrad.kernels.loss import softmax_cross_entropy

def results(batch):
    rng = np.random.default_rng(0)
    x, w, b = (rng.standard_normal(s).astype(np.float32) for s in ((batch, 5, 14, 14), (21, 5, 3, 3), (21,)))
    options = dict(padding=((1, 1), (1, 1)))
    y = conv.conv2d(x, w, b, **options)
    z, index = pool.relu_max_pool2d(y, (2, 2), (2, 2))
    g = pool.max_pool2d_grad(z, index, y.shape, (2, 2), (2, 2))
    mean = pool.avg_pool2d(y, (2, 2), (2, 2))
    loss = softmax_cross_entropy(z.reshape(-1, 49), np.arange(z.size // 49) % 49)
    spread = pool.avg_pool2d_grad(mean, y.shape, (2, 2), (2, 2))
    gx = conv.conv2d_input_grad(g, w, x.shape, **options)
    gw, gb = conv.conv2d_weight_bias_grad(g, x, w.shape, **options)
    one, index = conv_pool.conv2d_relu_pool(x, w, b, **options)
    ox = conv_pool.conv2d_relu_pool_input_grad(one, index, w, x.shape, **options)
    ow, ob = conv_pool.conv2d_relu_pool_weight_bias_grad(one, index, x, w.shape, **options)
    found = [y, z, g, mean, spread, gx, gw, gb, loss.losses, loss.grad, one, ox, ow, ob]
    return [*found, *of_a_chain(rng.standard_normal((batch, 1, 14, 14)).astype(np.float32), rng)]

def of_a_chain(x, rng):
    net = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16 * 49, 10), nn.ReLU(),
    )
    for p in net.parameters():  # not from the default generator, which Python threads share
        p.data = rng.standard_normal(p.shape).astype(np.float32)
    for _ in range(2):  # layer by layer, and as one
        net.zero_grad()
        scores = net(from_numpy(x))
        scores.sum().backward()
    return [scores.data, *(p.grad.data for p in net.parameters())]

def bits(arrays):
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()
"""


@compiled_only
def test_results_are_the_same_bits_for_any_number_of_threads() -> None:
    code = "for n in range(1, 6):\n    set_num_threads(n)\n    print(bits(results(37)))\n"
    done = python(ALL_KERNELS + code, NUMBA_NUM_THREADS="5")
    lines = done.stdout.split()
    assert len(lines) == 5, done.stderr
    assert len(set(lines)) == 1


@compiled_only
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("layer", ["omp", "workqueue"])
def test_a_forked_child_computes_the_same_after_its_parent_used_threads(layer: str) -> None:
    code = """
import os
parent = bits(results(37))
read, write = os.pipe()
if os.fork() == 0:
    os.write(write, bits(results(37)).encode())
    os._exit(0)
os.wait()
assert os.read(read, 100).decode() == parent
print("same")
"""
    available = python("import numba.np.ufunc.omppool") if layer == "omp" else None
    if available is not None and available.returncode:
        pytest.skip("no OpenMP here")
    done = python(ALL_KERNELS + code, NUMBA_THREADING_LAYER=layer, NUMBA_NUM_THREADS="2")
    assert done.stdout == "same\n", done.stderr


@compiled_only
def test_concurrent_python_threads_are_safe_on_the_workqueue_layer() -> None:
    code = """
import threading
expected = bits(results(37))
found = []
threads = [threading.Thread(target=lambda: found.append(bits(results(37)))) for _ in range(4)]
for t in threads: t.start()
for t in threads: t.join()
assert found == [expected] * 4
print("same")
"""
    done = python(ALL_KERNELS + code, NUMBA_THREADING_LAYER="workqueue", NUMBA_NUM_THREADS="2")
    assert done.stdout == "same\n", done.stderr


NUMBERS = "print(*(f'{float(v):.3e}' for a in results(2) for v in np.ravel(a)[:: max(1, a.size // 40)]))"


@compiled_only
@pytest.mark.slow
def test_a_processor_without_wide_vectors_gives_the_same_numbers() -> None:
    """The generic x86-64 has 4 lanes and no fused multiply-add; ARM64 has 4 lanes as well."""
    here = python(ALL_KERNELS + NUMBERS)
    generic = python(ALL_KERNELS + NUMBERS, NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="")
    a, b = (np.array(done.stdout.split(), float) for done in (here, generic))
    assert a.size > 100, here.stderr
    assert b.size == a.size, generic.stderr
    np.testing.assert_allclose(a, b, rtol=2e-3, atol=1e-5)


def test_without_the_compiler_the_same_numbers_come_slowly() -> None:
    code = ALL_KERNELS.replace("14, 14", "4, 4").replace("49", "4") + NUMBERS
    fast, slow = python(code), python(code, NUMBA_DISABLE_JIT="1")
    a, b = (np.array(done.stdout.split(), float) for done in (fast, slow))
    assert a.size > 100, fast.stderr
    assert b.size == a.size, slow.stderr
    np.testing.assert_allclose(a, b, rtol=2e-3, atol=1e-5)


@compiled_only
@pytest.mark.parametrize("optimizer", ["SGD", "SGDMomentum", "Adam", "AdamW"])
def test_after_warmup_training_steps_of_a_cnn_compile_nothing(optimizer: str) -> None:
    code = f"""
import minigrad
from minigrad import models, nn, optim
from minigrad.kernels import cache
minigrad.warmup()
names = []
cache.KernelCache.load_overload = lambda self, *rest: names.append(self._py_func.__name__)
model = models.cnn(28)
step = optim.{optimizer}(model.parameters(), lr=0.01)
for _ in range(3):
    scores = model(minigrad.randn(64, 1, 28, 28))
    step.zero_grad()
    nn.CrossEntropyLoss()(scores, minigrad.zeros(64, dtype=minigrad.int64)).backward()
    step.step()
print(scores.node.name, names)
"""
    done = python(code)
    assert done.stdout == "chain []\n", done.stderr


def test_after_warmup_a_step_compiles_nothing_more() -> None:
    code = """
from minigrad.kernels import cache
from minigrad.kernels.warmup import warmup
warmup()
names = []
cache.KernelCache.load_overload = lambda self, *rest: names.append(self._py_func.__name__)
x = np.ones((40, 3, 8, 8), np.float32)
y = conv.conv2d(x, np.ones((20, 3, 3, 3), np.float32))
z, index = pool.relu_max_pool2d(y, (2, 2), (2, 2))
conv.conv2d_weight_grad(pool.max_pool2d_grad(z, index, y.shape, (2, 2), (2, 2)), x, (20, 3, 3, 3))
softmax_cross_entropy(np.ones((40, 10), np.float32), np.zeros(40, np.int64))
print(names)
"""
    done = python(ALL_KERNELS + code)
    assert done.stdout == "[]\n", done.stderr
