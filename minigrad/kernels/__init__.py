"""The loops: the only room in which Numba is imported."""
