"""The one device: programs that choose between a GPU and the CPU find the CPU here.

device = minigrad.device("cuda" if minigrad.cuda.is_available() else "cpu")
"""

from __future__ import annotations

from typing import Any

from minigrad.errors import DeviceError

__all__ = ["check_device", "cuda", "device"]


class device(str):
    """The name of a device; only 'cpu' exists."""

    __slots__ = ()

    def __new__(cls, name: Any = "cpu") -> device:
        check_device(name, "device")
        return super().__new__(cls, "cpu")

    @property
    def type(self) -> str:
        """The kind of device."""
        return str(self)

    def __repr__(self) -> str:
        return f"device(type={str(self)!r})"


def check_device(name: Any, where: str) -> None:
    """DeviceError unless `name` is 'cpu' (of any number) or None."""
    if name is not None and (not isinstance(name, str) or name.partition(":")[0] != "cpu"):
        raise DeviceError(f"{where}: minigrad computes on the CPU only, got device {name!r}. Use 'cpu'.")


class cuda:
    """Stands where PyTorch has its CUDA module."""

    @staticmethod
    def is_available() -> bool:
        """False: minigrad computes on the CPU only."""
        return False
