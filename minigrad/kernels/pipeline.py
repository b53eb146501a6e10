"""Which of Numba's steps compile a kernel: all but two, which would take a twentieth of the time.

Numba reads Python's bytecode into a representation of its own, goes over it in some thirty passes, finds the types, and
writes LLVM's language. Left out are the pass that writes out comprehensions and inner functions, and the one that
merges expressions of whole arrays into loops: kernels have neither, they are loops over numbers.

This module imports Numba.

References
----------
https://numba.readthedocs.io/en/stable/extending/compiler.html ("Customizing the compiler")
"""

from __future__ import annotations

from typing import Any

from numba.core.compiler import Compiler, DefaultPassBuilder
from numba.core.typed_passes import NopythonRewrites
from numba.core.untyped_passes import InlineClosureLikes

__all__ = ["KernelCompiler"]

_LEFT_OUT = InlineClosureLikes, NopythonRewrites


class KernelCompiler(Compiler):
    """Numba's compiler without those passes; a loop that is split among threads needs both."""

    def define_pipelines(self) -> list[Any]:
        manager = DefaultPassBuilder.define_nopython_pipeline(self.state)
        manager.passes = [step for step in manager.passes if step[0] not in _LEFT_OUT]
        manager.finalize()
        return [manager]
