"""How long the threads of the matrix product and of the kernels wait for more work before they sleep: hardly at all.

By default both spin for milliseconds. On a machine where another program runs, a thread that has spun its share of
time away is not on a processor when the next loop begins, and the loop waits for it until the scheduler's next tick.
Measured side by side on two cores with one busy neighbour, a training step of a small CNN at batch 64: 41 ms with the
defaults, 10 to 12 ms with these.

Both settings are read once, when OpenBLAS (with numpy) and the OpenMP runtime (with the first parallel kernel) are
loaded, so this module is imported before them. Values that are in the environment already are left alone.

References
----------
https://gcc.gnu.org/onlinedocs/libgomp/GOMP_005fSPINCOUNT.html
https://github.com/OpenMathLib/OpenBLAS/blob/develop/USAGE.md (OPENBLAS_THREAD_TIMEOUT, a power of two of cycles)
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")
os.environ.setdefault("GOMP_SPINCOUNT", "3000")
