"""How long the threads of the matrix product and of the kernels wait for more work before they sleep: hardly at all.

By default both spin for milliseconds. On a machine where another program runs, a thread that has spun its share of
time away is not on a processor when the next loop begins, and the loop waits for it until the scheduler's next tick.
Measured side by side on two cores with one busy neighbour, a training step of a small CNN at batch 64: 41 ms with the
defaults, 10 to 12 ms with threads that sleep. And the two take the cores from each other: three epochs of MNIST took
23 to 25 s while the threads of the matrix product spun, and 13 s where they slept.

Both settings are read when OpenBLAS (with numpy) and the OpenMP runtime (with the first parallel kernel) are loaded, so
this module is imported before them. Where numpy came first, OpenBLAS is told to read its settings again and to start
its threads anew, as it does in a forked process. Some builds of it hide the two functions for that (those in numpy 2.5
for Linux do): there its threads sleep only if `import minigrad` comes before `import numpy`. It matters for large
products alone; the others run on the kernels' own threads (`kernels/dense.py`). Values that are in the environment
already are left alone.

How long the kernels' threads wait is a compromise: some 0.2 ms bridge the gaps within a training step. With a count of
3,000 in place of 10,000 small CNNs took 10 to 20 % longer on an idle machine and 20 % less beside a busy neighbour;
with 30,000 and more they took twice as long there.

References
----------
https://gcc.gnu.org/onlinedocs/libgomp/GOMP_005fSPINCOUNT.html
https://github.com/OpenMathLib/OpenBLAS/blob/develop/USAGE.md (OPENBLAS_THREAD_TIMEOUT, a power of two of cycles)
"""

from __future__ import annotations

import ctypes
import os
import sys

__all__ = ["restart_blas_threads"]


def restart_blas_threads() -> bool:
    """Let an OpenBLAS that is loaded already follow the environment; returns whether one was found (on Linux alone)."""
    try:
        with open("/proc/self/maps") as maps:
            paths = {line.split(maxsplit=5)[5].strip() for line in maps if "openblas" in line}
    except OSError:
        return False
    found = False
    for path in sorted(paths):
        try:
            library = ctypes.CDLL(path)
            read_settings, stop_threads = library.openblas_read_env, library.blas_thread_shutdown_
        except (OSError, AttributeError):
            continue  # another build, without these functions: its threads go on as they are
        read_settings()
        stop_threads()  # the next product starts them again
        found = True
    return found


os.environ.setdefault("GOMP_SPINCOUNT", "10000")
if "OPENBLAS_THREAD_TIMEOUT" not in os.environ:
    os.environ["OPENBLAS_THREAD_TIMEOUT"] = "4"
    if "numpy" in sys.modules:
        restart_blas_threads()
