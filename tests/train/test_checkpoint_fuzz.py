"""Mutated checkpoints: one typed error and nothing changed, or an answer that is right; always in bounded memory."""

from __future__ import annotations

import json
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import datasets, nn, optim
from minigrad.checkpoint import read_checkpoint, save_checkpoint
from minigrad.errors import CheckpointError
from minigrad.history import EpochRow, History
from minigrad.io import load
from minigrad.optim import lr_scheduler
from minigrad.random import default_generator
from minigrad.state_tree import pack
from minigrad.tensor_file import read_tensors

# What reading may take beyond the arrays: parsed JSON is larger than its text, and restoring keeps a copy for the way
# back. The file itself has about 9 kB.
MOST_MEMORY = 2**20


class Target:
    """A small run with everything in it that a checkpoint can hold."""

    def __init__(self) -> None:
        self.model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Linear(2, 2))
        self.optimizer = optim.Lookahead(optim.Adam(self.model.parameters(), lr=0.01), k=2)
        self.scheduler = lr_scheduler.MultiStepLR(self.optimizer, [2, 4])
        data = datasets.TensorDataset(np.arange(30, dtype=np.float32).reshape(10, 3), np.arange(10) % 2)
        self.loader = datasets.DataLoader(data, batch_size=3, shuffle=True, generator=3)

    def parts(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("model", "optimizer", "scheduler", "loader")}

    def state(self) -> Any:
        """Everything as comparable data."""
        arrays: dict[str, np.ndarray] = {}
        packed = {name: pack(part.state_dict(), name, arrays) for name, part in self.parts().items()}
        return packed, {name: array.tobytes() for name, array in arrays.items()}, default_generator.get_state()


def make_checkpoint(path: Path) -> bytes:
    minigrad.manual_seed(0)
    run = Target()
    batches = iter(run.loader)
    for _ in range(3):
        x, y = next(batches)
        run.optimizer.zero_grad()
        nn.functional.cross_entropy(run.model(x), y).backward()
        run.optimizer.step()
        run.scheduler.step()
    history = History(
        [EpochRow(1, 3, {"train_loss": 0.5, "test_loss": float("nan")}, 0.1, 2.0)], [1.0, 2.0], [0.1, 0.1]
    )
    save_checkpoint(path, **run.parts(), history=history, extra={"fit": {"epoch": 1}}, about={"dataset": "digits"})
    return path.read_bytes()


def with_checksum(content: bytes) -> bytes:
    """The file with the checksum that it should have, so that what lies behind the checksum is tested too."""
    place = 8 + len(b'{"__metadata__":{"checksum":"')
    zeroed = content[:place] + b"0" * 8 + content[place + 8 :]
    return content[:place] + b"%08x" % zlib.crc32(zeroed) + content[place + 8 :]


def mutate_bytes(content: bytes, rng: np.random.Generator) -> bytes:
    data = bytearray(content)
    for _ in range(rng.integers(1, 3)):
        place = int(rng.integers(0, max(len(data), 1)))
        if rng.random() < 0.2:
            place = min(place, int(rng.integers(0, 48)))
        kind = rng.integers(0, 7)
        if kind == 0 and place < len(data):
            data[place] ^= 1 << rng.integers(0, 8)
        elif kind == 1 and place < len(data):
            data[place] = rng.integers(0, 256)
        elif kind == 2:
            size = int(rng.choice(np.array([0, 1, 2**16, 2**31, 2**32, 2**53, 2**63, 2**64 - 1], np.uint64)))
            start = 0 if rng.random() < 0.5 else place
            data[start : start + 8] = struct.pack("<Q", size)
        elif kind == 3:
            del data[place:]
        elif kind == 4:
            data[place:place] = rng.bytes(int(rng.integers(1, 9)))
        elif kind == 5:
            del data[place : place + int(rng.integers(1, 17))]
        else:
            data[place:place] = data[place : place + int(rng.integers(1, 65))]
    return bytes(data)


HOSTILE: list[Any] = [
    None, True, False, 0, 1, -1, 7, 2**31, 2**63, 2**64, 10**40, 10**400, -(10**30), 0.5, -0.5, 1e308, 5e-324,
    "", "x", "F64", "BF16", "../../etc/passwd", "\x00", "é" * 50, [], [0], [1, 2, 3], [[]], [0, 2**62], {}, {"a": 1},
    {"$array": "model.0.weight"}, {"$array": "nowhere"}, {"$tuple": []}, {"$tuple": 5}, {"$float": "nan"},
    {"$float": "inf"}, {"$dict": [[0, 1], [0, 2]]}, {"$dict": [[0]]}, {"$evil": 1}, [1] * 70, {"$tuple": [0.9, 2.0]},
]  # fmt: skip


def mutate_tree(tree: Any, rng: np.random.Generator) -> Any:
    """The tree with one node replaced, removed, doubled or renamed."""
    nodes: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for key, value in items:
            nodes.append((node, key))
            walk(value)

    walk(tree)
    parent, key = nodes[rng.integers(len(nodes))]
    kind = rng.integers(0, 4)
    if kind < 2:
        parent[key] = HOSTILE[rng.integers(len(HOSTILE))]
    elif kind == 2:
        del parent[key]
    elif isinstance(parent, list):
        parent.insert(key, parent[key])
    else:
        parent[["params", "lr", "$array", "step", "0.weight", "seed", "x"][rng.integers(7)]] = parent.pop(key)
    return tree


def mutate_json(content: bytes, rng: np.random.Generator) -> bytes:
    """A file whose JSON was changed by somebody who knows the format."""
    n = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + n])
    if rng.random() < 0.3:
        metadata = header.pop("__metadata__")
        header = {"__metadata__": metadata, **mutate_tree(header, rng)}
    else:
        described = json.loads(header["__metadata__"]["minigrad"])
        header["__metadata__"]["minigrad"] = json.dumps(mutate_tree(described, rng))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
    return with_checksum(struct.pack("<Q", len(text)) + text + content[8 + n :])


KINDS: dict[str, Callable[[bytes, np.random.Generator], bytes]] = {
    "bytes": mutate_bytes,
    "bytes behind the checksum": lambda content, rng: with_checksum(mutate_bytes(content, rng)),
    "JSON": mutate_json,
}


@pytest.mark.parametrize(
    ("kind", "count"),
    [(kind, 250) for kind in KINDS]
    + [
        pytest.param(kind, count, marks=pytest.mark.slow) for kind, count in zip(KINDS, (9000, 6000, 6000), strict=True)
    ],
)
def test_a_mutated_checkpoint_is_refused_whole_or_fits_whole(kind: str, count: int, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    content = make_checkpoint(path)
    rng = np.random.default_rng(count)
    run = Target()
    before = run.state()
    refused = unfit = accepted = 0
    try:
        for k in range(count):
            mutated = KINDS[kind](content, rng)
            with open(path, "r+b") as file:
                file.write(mutated)
                file.truncate()
            traced = k % 8 == 0  # it makes everything several times slower
            if traced:
                tracemalloc.start()
            try:
                checkpoint = read_checkpoint(path)
            except CheckpointError:
                refused += 1
            else:
                if kind == "bytes":
                    assert mutated == content
                try:
                    checkpoint.restore(**run.parts(), generator=default_generator)
                except CheckpointError:
                    unfit += 1
                    assert run.state() == before
                else:
                    accepted += 1
                    run = Target()
                    before = run.state()
            if traced:
                assert tracemalloc.get_traced_memory()[1] < MOST_MEMORY
                tracemalloc.stop()
    finally:
        tracemalloc.stop()
    assert refused + unfit + accepted == count
    # Each answer must occur where it can, or the mutations would be testing nothing.
    if kind == "bytes":
        assert refused > 0.99 * count
    else:
        assert refused > 0.2 * count
        assert accepted > 0.01 * count
    if kind == "JSON":
        assert unfit > 0.1 * count


def header_of(entries: Any, data: bytes = b"", length: int | None = None) -> bytes:
    text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(begin: int, end: int, shape: Any = None, dtype: str = "U8") -> dict[str, Any]:
    return {"dtype": dtype, "shape": [end - begin] if shape is None else shape, "data_offsets": [begin, end]}


HOSTILE_FILES: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "cannot hold the header"),
    "seven bytes": (b"\x01" * 7, "cannot hold the header"),
    "a header of 16 exabytes": (header_of({}, length=2**64 - 1), "cannot hold the header"),
    "a header longer than the file": (header_of({}, length=1000), "cannot hold the header"),
    "no JSON": (header_of(b"{'a': 1}"), "no valid JSON"),
    "a list": (header_of([]), "not with a brace"),
    "not UTF-8": (header_of(b'{"\xff": 1}'), "no valid JSON"),
    "brackets 100,000 deep": (header_of(b'{"a":' + b"[" * 100_000), "nested too deeply"),
    "a number of a million digits": (header_of(b'{"a":' + b"1" * 1_000_000 + b"}"), "digits"),
    "NaN": (header_of(b'{"a":NaN}'), "NaN is no number"),
    "a key that comes twice": (
        header_of(b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],'
                  b'"data_offsets":[0,1]}}', b"x"),
        "the key 'a' comes twice",
    ),
    "overlapping offsets": (header_of({"a": entry(0, 4), "b": entry(2, 6)}, b"123456"), "4 is the next that is free"),
    "a hole": (header_of({"a": entry(0, 2), "b": entry(3, 4)}, b"1234"), "2 is the next that is free"),
    "data behind the last array": (header_of({"a": entry(0, 2)}, b"1234"), "has 4 bytes of data"),
    "data beyond the end": (header_of({"a": entry(0, 2**40)}, b"1234"), "has 4 bytes of data"),
    "offsets that go backward": (header_of({"a": entry(4, 0, [4])}, b"1234"), "0 is the next that is free"),
    "negative offsets": (header_of({"a": entry(-4, 0, [4])}, b"1234"), "not two sizes"),
    "a shape with another size": (header_of({"a": entry(0, 4, [2, 3])}, b"1234"), "not the shape"),
    "a negative shape": (header_of({"a": entry(0, 4, [-2, -2])}, b"1234"), "not a list of sizes"),
    "a shape that overflows": (header_of({"a": entry(0, 0, [2**62, 2**62, 0])}), "not the shape"),
    "a hundred dimensions": (header_of({"a": entry(0, 1, [1] * 100)}, b"1"), "not a list of sizes"),
    "a fraction as a size": (header_of({"a": entry(0, 4, [4.0])}, b"1234"), "not a list of sizes"),
    "true as a size": (header_of({"a": entry(0, 1, [True])}, b"1"), "not a list of sizes"),
    "an unknown dtype": (header_of({"a": entry(0, 4, dtype="F8_E4M3")}, b"1234"), "F8_E4M3"),
    "a list as dtype": (header_of({"a": entry(0, 4, dtype=["U8"])}, b"1234"), "dtype"),  # type: ignore[arg-type]
    "an entry that is a number": (header_of({"a": 1}), "has not exactly dtype"),
    "an entry with more": (header_of({"a": {**entry(0, 1), "x": 1}}, b"1"), "has not exactly dtype"),
    "metadata that is no dictionary": (header_of({"__metadata__": [1]}), "not a dictionary of strings"),
    "metadata with numbers": (header_of({"__metadata__": {"a": 1}}), "not a dictionary of strings"),
    "a boolean of 2": (header_of({"a": entry(0, 1, dtype="BOOL")}, b"\x02"), "neither 0 nor 1"),
    "a pickle": (b"\x80\x04\x95\x1a\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93", "cannot hold"),
    "a zip": (b"PK\x03\x04" + b"\x00" * 60, "cannot hold the header"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE_FILES)
def test_a_hostile_file_says_what_is_wrong_in_little_memory(name: str, tmp_path: Path) -> None:
    content, message = HOSTILE_FILES[name]
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        for read in (load, read_checkpoint):
            with pytest.raises(CheckpointError, match=message):
                read(path)
        assert tracemalloc.get_traced_memory()[1] < 20 * len(content) + MOST_MEMORY
    finally:
        tracemalloc.stop()


def test_names_are_names_and_never_paths(tmp_path: Path) -> None:
    """An array called ../../x is an array called ../../x; reading writes nothing anywhere."""
    path = tmp_path / "folder" / "a.safetensors"
    path.parent.mkdir()
    path.write_bytes(header_of({"../../x": entry(0, 1), "/etc/passwd": entry(1, 2)}, b"ab"))
    assert set(load(path)) == {"../../x", "/etc/passwd"}
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a.safetensors", "folder"]


@pytest.mark.parametrize("cut", ["every length"])
def test_a_file_that_was_cut_at_any_byte_is_refused(cut: str, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    content = make_checkpoint(path)
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError):
            read_checkpoint(path)


def test_every_flipped_bit_of_the_numbers_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    content = make_checkpoint(path)
    n = struct.unpack("<Q", content[:8])[0]
    assert read_tensors(path, "test").checked
    for bit in range(8 * (8 + n), 8 * len(content), 5):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match="has the checksum"):
            read_checkpoint(path)
