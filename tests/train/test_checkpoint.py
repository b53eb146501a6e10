"""Checkpoint files: the format against the safetensors library, what is written, what is refused, no code in them."""

from __future__ import annotations

import ast
import json
import math
import os
import struct
import subprocess
import sys
import tracemalloc
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import datasets, nn, optim
from minigrad.checkpoint import newest, read_checkpoint, save_checkpoint
from minigrad.errors import ArgumentError, CheckpointError, DTypeError
from minigrad.history import EpochRow, History
from minigrad.io import load, replacing, save, write_atomically
from minigrad.optim import lr_scheduler
from minigrad.random import default_generator
from minigrad.state_tree import pack, unpack
from minigrad.tensor_file import parse_json, read_tensors, write_tensors

ROOT = Path(minigrad.__file__).parents[1]

ARRAYS = {
    "f32": np.arange(6, dtype=np.float32).reshape(2, 3),
    "f64": np.array([0.1, np.nan, -np.inf, 5e-324]),
    "f16": np.array([1.5, -0.0], np.float16),
    "i8": np.array([-128, 127], np.int8),
    "u8": np.arange(5, dtype=np.uint8),
    "i16": np.array([-(2**15)], np.int16),
    "u16": np.array([2**16 - 1], np.uint16),
    "i32": np.array([[-(2**31)]], np.int32),
    "u32": np.array([2**32 - 1], np.uint32),
    "i64": np.array(-(2**63)),
    "u64": np.array([2**64 - 1], np.uint64),
    "bool": np.array([True, False, True]),
    "scalar": np.array(3.5),
    "empty": np.zeros((0, 4)),
    "ünï.cödé/..": np.ones((1, 1, 1), np.float32),
}


# ---- the format, against the library that defines it ---------------------------------------------------------------


def test_files_are_byte_for_byte_those_of_the_safetensors_library(tmp_path: Path) -> None:
    theirs = pytest.importorskip("safetensors.numpy")
    save(ARRAYS, tmp_path / "a.safetensors", {"about": 'quotes " and \\ and é'})
    assert (tmp_path / "a.safetensors").read_bytes() == theirs.save(ARRAYS, {"about": 'quotes " and \\ and é'})


def test_the_library_and_we_read_each_others_files(tmp_path: Path) -> None:
    theirs = pytest.importorskip("safetensors.numpy")
    theirs.save_file(ARRAYS, tmp_path / "theirs.safetensors")
    save(ARRAYS, tmp_path / "ours.safetensors")
    ours_of_theirs, theirs_of_ours = (
        load(tmp_path / "theirs.safetensors"),
        theirs.load_file(tmp_path / "ours.safetensors"),
    )
    for name, array in ARRAYS.items():
        for read in (ours_of_theirs[name].data, theirs_of_ours[name]):
            assert read.dtype == array.dtype, name
            assert read.shape == array.shape, name
            assert read.tobytes() == array.tobytes(), name


def test_a_checkpoint_is_a_file_for_the_library_and_its_arrays_have_names(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors")
    model = nn.Sequential(nn.Linear(2, 3))
    optimizer = optim.Adam(model.parameters())
    model(minigrad.ones(1, 2)).sum().backward()
    optimizer.step()
    path = save_checkpoint(tmp_path / "a.safetensors", model=model, optimizer=optimizer)
    with safetensors.safe_open(path, "numpy") as file:
        assert {"model.0.weight", "optimizer.state.0.exp_avg", "optimizer.state.1.exp_avg_sq"} <= set(file.keys())
        assert (file.get_tensor("model.0.weight") == model[0].weight.data).all()
        assert json.loads(file.metadata()["minigrad"])["made_with"]["optimizer"] == "Adam"
    assert (load(path)["model.0.bias"].data == model[0].bias.data).all()


def test_bfloat16_is_read_as_the_float32_with_the_same_value(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    values = torch.tensor([1.0, -3.140625, 1e38, float("inf"), 0.0, 2.0**-130], dtype=torch.bfloat16)
    save_file({"x": values}, tmp_path / "b.safetensors")
    read = load(tmp_path / "b.safetensors")["x"].data
    assert read.dtype == np.float32
    assert read.tobytes() == values.float().numpy().tobytes()


def test_other_strides_and_byte_orders_are_written_as_values(tmp_path: Path) -> None:
    a = np.arange(12.0).reshape(3, 4)
    save({"t": a.T, "s": a[::2, ::-1], "big": a.astype(">f8"), "b": np.broadcast_to(a[0], (2, 4))}, tmp_path / "a.st")
    read = load(tmp_path / "a.st")
    for name, expected in (("t", a.T), ("s", a[::2, ::-1]), ("big", a), ("b", np.broadcast_to(a[0], (2, 4)))):
        assert (read[name].data == expected).all()
        assert read[name].data.dtype == np.float64


@pytest.mark.parametrize("dtype", [np.complex64, np.float128 if hasattr(np, "float128") else np.complex128, "U3", "O"])
def test_a_dtype_that_the_format_does_not_have_is_named_and_the_old_file_stays(dtype: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save({"a": np.ones(1)}, path)
    before = path.read_bytes()
    with pytest.raises(DTypeError, match="save: bad: expected one of the dtypes"):
        save({"bad": np.zeros(2, dtype)}, path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.safetensors"]


def test_the_checksum_is_the_crc_of_the_file_with_zeros_in_its_place(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path / "a.safetensors", model=nn.Linear(2, 2))
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + struct.unpack("<Q", content[:8])[0]])
    checksum = header["__metadata__"]["checksum"].encode()
    assert content.count(checksum) == 1
    assert int(checksum, 16) == zlib.crc32(content.replace(checksum, b"00000000"))


def test_of_large_arrays_it_takes_the_sums_of_rows_and_columns(tmp_path: Path) -> None:
    """The definition, word by word, for 1.2 MB: 256 rows of 512 words, 36 more, and what is left."""
    a = np.random.default_rng(0).standard_normal(300_000).astype(np.float32)
    with replacing(tmp_path / "a.st") as file:
        write_tensors(file, {"a": a}, {}, checksum=True)
    content = (tmp_path / "a.st").read_bytes()
    start = content[: -a.nbytes]
    checksum = json.loads(start[8:])["__metadata__"]["checksum"].encode()
    words = struct.unpack("<150000Q", a.tobytes())
    rows = [words[512 * r : 512 * r + 512] for r in range(292)]
    expected = zlib.crc32(start.replace(checksum, b"00000000"))
    for block in (rows[:256], rows[256:]):
        expected = zlib.crc32(b"".join(struct.pack("<Q", sum(row) % 2**64) for row in block), expected)
        columns = [sum(column) % 2**64 for column in zip(*block, strict=True)]
        expected = zlib.crc32(struct.pack("<512Q", *columns), expected)
    expected = zlib.crc32(a.tobytes()[292 * 4096 :], expected)
    assert int(checksum, 16) == expected


@pytest.mark.parametrize("kind", ["a flipped bit", "two words exchanged", "two rows exchanged", "shifted", "zeros"])
def test_damage_in_large_arrays_is_noticed(kind: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    model = nn.Linear(400, 400)  # 640 kB
    path = save_checkpoint(tmp_path / "a.safetensors", model=model)
    content = np.frombuffer(path.read_bytes(), np.uint8)
    first = content.size - 640_000
    for _ in range(40):
        damaged = content.copy()
        place, other = rng.integers(first, content.size - 8192, 2) // 8 * 8
        if kind == "a flipped bit":
            damaged[place] ^= 1 << rng.integers(8)
        elif kind == "two words exchanged":
            damaged[place : place + 8], damaged[other : other + 8] = (
                content[other : other + 8],
                content[place : place + 8],
            )
        elif kind == "two rows exchanged":
            damaged[place : place + 4096] = content[place + 4096 : place + 8192]
            damaged[place + 4096 : place + 8192] = content[place : place + 4096]
        elif kind == "shifted":
            damaged[place : place + 4096] = content[place + 1 : place + 4097]
        else:
            damaged[place : place + 512] = 0  # a sector that was never written
        path.write_bytes(damaged.tobytes())
        with pytest.raises(CheckpointError, match="has the checksum"):
            read_checkpoint(path)


def test_equal_runs_write_equal_files(tmp_path: Path) -> None:
    contents = []
    for name in "ab":
        minigrad.manual_seed(3)
        model = nn.Linear(4, 4)
        optimizer = optim.Adam(model.parameters())
        contents.append(save_checkpoint(tmp_path / name, model=model, optimizer=optimizer).read_bytes())
    assert contents[0] == contents[1]


def test_writing_takes_no_memory_for_a_copy_and_reading_one_of_the_size_of_the_file(tmp_path: Path) -> None:
    arrays = {"a": np.ones(2_000_000, np.float32), "b": np.ones(1_000_000)}  # 16 MB
    tracemalloc.start()
    try:
        with replacing(tmp_path / "a.st") as file:
            write_tensors(file, arrays, {}, checksum=True)
        assert tracemalloc.get_traced_memory()[1] < 1e6
        tracemalloc.reset_peak()
        read = read_tensors(tmp_path / "a.st", "test")
        assert tracemalloc.get_traced_memory()[1] < 17e6
    finally:
        tracemalloc.stop()
    assert read.checked
    assert (read.arrays["b"] == 1).all()


# ---- states as JSON and arrays -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tree",
    [
        {"a": 1, "b": [True, None, "é\n"], "c": (1, (2.5,)), "d": {}},
        {0: {"step": 3}, 1: {}, "x": -(2**70)},
        [0.1 + 0.2, 5e-324, -0.0, 1e308, math.inf, -math.inf],
        {"$array": "not an array", "$x": 1},
        {"a.b": np.ones(2), "a": {"b": np.zeros(3)}},
        (np.float32(0.1), np.float64(0.1), np.int64(7), np.bool_(True)),
        Counter({4: 1, 12: 2}),
    ],
)
def test_states_come_back_as_they_were(tree: Any) -> None:
    arrays: dict[str, np.ndarray] = {}
    text = json.dumps(pack(tree, "root", arrays), allow_nan=False)
    again = unpack(parse_json(text), arrays)
    assert repr(again).replace("array(0.1, dtype=float32)", "np.float32(0.1)") == repr(
        dict(tree) if isinstance(tree, Counter) else tree
    ).replace("np.float64(0.1)", "0.1").replace("np.int64(7)", "7").replace("np.True_", "True")


def test_nan_comes_back_and_names_of_arrays_do_not_collide() -> None:
    arrays: dict[str, np.ndarray] = {}
    packed = pack({"a.b": np.ones(2), "a": {"b": np.zeros(3)}, "n": math.nan}, "x", arrays)
    assert list(arrays) == ["x.a.b", "x.a.b'"]
    assert math.isnan(unpack(packed, arrays)["n"])


@pytest.mark.parametrize("tree", [{"a": {1, 2}}, {"a": [lambda: 0]}, {"a": {(1, 2): 3}}, {"a": b"bytes"}])
def test_what_cannot_be_saved_is_named_by_its_place(tree: Any, tmp_path: Path) -> None:
    with pytest.raises(DTypeError, match=r"at extra\.a"):
        save_checkpoint(tmp_path / "a.safetensors", model=nn.Linear(1, 1), extra=tree)
    assert list(tmp_path.iterdir()) == []


# ---- saving and restoring ------------------------------------------------------------------------------------------


def make() -> tuple[nn.Module, Any, Any, datasets.DataLoader]:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    optimizer = optim.AdamW(model.parameters(), lr=0.01)
    data = datasets.TensorDataset(np.arange(30, dtype=np.float32).reshape(10, 3), np.arange(10) % 2)
    return model, optimizer, lr_scheduler.StepLR(optimizer, 2), datasets.DataLoader(data, 4, shuffle=True)


def test_everything_that_was_given_is_in_the_checkpoint(tmp_path: Path) -> None:
    model, optimizer, scheduler, loader = make()
    history = History([EpochRow(1, 2, {"train_loss": 0.5}, 0.1, 2.0)], [0.6, 0.4], [0.1, 0.1])
    path = save_checkpoint(
        tmp_path / "a.safetensors", model=model, optimizer=optimizer, scheduler=scheduler, loader=loader,
        generator=minigrad.Generator(5), history=history, extra={"epoch": 3}, about={"dataset": "digits"},
    )  # fmt: skip
    checkpoint = read_checkpoint(path)
    assert list(checkpoint.model) == list(model.state_dict())
    assert checkpoint.scheduler == scheduler.state_dict()
    assert checkpoint.loader == loader.state_dict()
    assert checkpoint.random == {
        "default": default_generator.get_state(), "model": {}, "generator": minigrad.Generator(5).get_state()
    }  # fmt: skip
    assert (checkpoint.extra, checkpoint.about) == ({"epoch": 3}, {"dataset": "digits"})
    assert checkpoint.made_with == {"minigrad": minigrad.__version__, "optimizer": "AdamW", "scheduler": "StepLR"}
    again = History()
    again.load_state_dict(checkpoint.history or {})
    assert again == history


@pytest.mark.parametrize("part", ["optimizer", "scheduler", "loader"])
def test_what_is_not_in_a_checkpoint_cannot_be_restored(part: str, tmp_path: Path) -> None:
    model, optimizer, scheduler, loader = make()
    checkpoint = read_checkpoint(save_checkpoint(tmp_path / "a.safetensors", model=model))
    given = {"optimizer": optimizer, "scheduler": scheduler, "loader": loader}[part]
    with pytest.raises(CheckpointError, match=f"has no {part} to restore. Leave {part}= out"):
        checkpoint.restore(**{part: given})


def test_one_part_that_does_not_fit_leaves_all_parts_as_they_were(tmp_path: Path) -> None:
    model, optimizer, scheduler, loader = make()
    for x, y in loader:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        scheduler.step()
    checkpoint = read_checkpoint(
        save_checkpoint(
            tmp_path / "a.safetensors", model=model, optimizer=optimizer, scheduler=scheduler, loader=loader
        )
    )
    fresh = dict(zip(("model", "optimizer", "scheduler", "loader"), make(), strict=True))

    def state() -> Any:
        arrays: dict[str, np.ndarray] = {}
        packed = {name: pack(value.state_dict(), name, arrays) for name, value in fresh.items()}
        return packed, {name: array.tobytes() for name, array in arrays.items()}, default_generator.get_state()

    before = state()
    misfits: dict[str, Any] = {
        "model": nn.Linear(3, 4),
        "optimizer": optim.AdamW(nn.Linear(3, 4).parameters()),
        "scheduler": lr_scheduler.ExponentialLR(fresh["optimizer"], 0.9),
        "loader": datasets.DataLoader(fresh["loader"].dataset, 5, shuffle=True),
    }
    before = state()
    for part, misfit in misfits.items():
        with pytest.raises(CheckpointError, match=f"the {part} in .* does not fit the one given, and nothing was"):
            checkpoint.restore(**{**fresh, part: misfit, "generator": default_generator})
        assert state() == before, part
    checkpoint.restore(**fresh, generator=default_generator)
    assert state() != before


def test_another_dtype_is_refused_in_place_of_rounded(tmp_path: Path) -> None:
    checkpoint = read_checkpoint(save_checkpoint(tmp_path / "a.safetensors", model=nn.Linear(2, 2).double()))
    with pytest.raises(CheckpointError, match=r"weight: expected float32 in shape \(2, 2\), got float64"):
        checkpoint.restore(model=nn.Linear(2, 2))


def test_a_file_of_weights_is_no_checkpoint_and_says_how_to_read_it(tmp_path: Path) -> None:
    save(nn.Linear(2, 2).state_dict(), tmp_path / "weights.safetensors")
    with pytest.raises(CheckpointError, match=r"a safetensors file of another kind\. minigrad\.load reads"):
        read_checkpoint(tmp_path / "weights.safetensors")


@pytest.mark.parametrize("read", [load, read_checkpoint])
def test_a_path_that_is_no_file_is_named(read: Any, tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path, "a\0b"):
        with pytest.raises(CheckpointError, match=r"expected a file at|cannot read"):
            read(path)
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for ever
    with pytest.raises(CheckpointError, match="expected a file at"):
        read(tmp_path / "pipe")


def test_newest_is_the_last_one_written_that_is_whole(tmp_path: Path) -> None:
    assert newest(tmp_path / "nowhere") is None
    assert newest(tmp_path) is None
    for age, name in enumerate(["c", "a", "b"]):
        save_checkpoint(tmp_path / f"{name}.safetensors", model=nn.Linear(1, 1))
        os.utime(tmp_path / f"{name}.safetensors", (1000 + age, 1000 + age))
    save({"x": np.ones(1)}, tmp_path / "weights.safetensors")
    (tmp_path / "notes.txt").write_text("newer than all of them")
    assert newest(tmp_path) == tmp_path / "b.safetensors"
    with open(tmp_path / "b.safetensors", "r+b") as file:
        file.truncate(100)
    assert newest(tmp_path) == tmp_path / "a.safetensors"
    with pytest.raises(CheckpointError, match="cannot look into"):
        newest(tmp_path / "notes.txt")


# ---- files that appear whole or not at all --------------------------------------------------------------------------


def test_nothing_is_left_of_a_write_that_failed_and_the_old_file_stays(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a", b"old")

    def fail() -> None:
        with replacing(tmp_path / "a") as file:
            file.write(b"new")
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        fail()
    assert (tmp_path / "a").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_the_file_and_then_its_folder_are_flushed_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(handle: int) -> None:
        calls.append("fsync folder" if os.path.isdir(f"/proc/self/fd/{handle}") else "fsync file")
        fsync(handle)

    def noted_replace(source: Any, target: Any) -> None:
        calls.append("replace")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    save_checkpoint(tmp_path / "a.safetensors", model=nn.Linear(1, 1))
    assert calls == ["fsync file", "replace", "fsync folder"]


def test_new_files_have_the_permissions_that_the_umask_leaves(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        write_atomically(tmp_path / "a", b"")
    finally:
        os.umask(old)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_two_writers_of_one_file_do_not_remove_each_others_work(tmp_path: Path) -> None:
    with replacing(tmp_path / "a") as first:
        first.write(b"first")
        write_atomically(tmp_path / "a", b"second")
    assert (tmp_path / "a").read_bytes() == b"first"  # it ended last


def test_what_a_dead_process_left_is_removed_and_other_files_are_not(tmp_path: Path) -> None:
    for name in (".a.st.x1.part", ".b.st.x2.part", "a.st.part", ".a.st.keep"):
        (tmp_path / name).write_bytes(b"left")
    write_atomically(tmp_path / "a.st", b"")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".a.st.keep", ".b.st.x2.part", "a.st", "a.st.part"]


def test_the_name_of_the_checksum_is_not_free_for_other_metadata(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="without 'checksum'"):
        save({}, tmp_path / "a.st", {"checksum": "x"})


# ---- no code in files -----------------------------------------------------------------------------------------------

RUNS_CODE = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "marshal", "shelve", "jsonpickle", "torch"}
UNPACKS = {"zipfile", "tarfile", "shutil"}


def product_files() -> list[Path]:
    return [
        path
        for folder in ("minigrad", "nn", "optim", "datasets")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "__pycache__" not in path.parts
    ]


def test_no_file_of_the_product_can_run_what_it_reads() -> None:
    """The syntax trees: no module that unpickles or unpacks archives, no eval or exec, no allow_pickle=True."""
    files = product_files()
    assert len(files) > 80
    found = []
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(), str(path))):
            where = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Import | ast.ImportFrom):
                modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
                found += [
                    f"{where} imports {m}" for m in modules if m.split(".")[0] in RUNS_CODE | (UNPACKS - {"shutil"})
                ]
            elif isinstance(node, ast.Call):
                name = node.func.id if isinstance(node.func, ast.Name) else ""
                attribute = node.func.attr if isinstance(node.func, ast.Attribute) else ""
                if name in ("eval", "exec", "compile", "__import__") or attribute in ("unpack_archive", "extractall"):
                    found.append(f"{where} calls {name or attribute}")
                allowed = {k.arg: k.value for k in node.keywords}.get("allow_pickle")
                if allowed is not None and not (isinstance(allowed, ast.Constant) and allowed.value is False):
                    found.append(f"{where} allows pickle")
                if attribute == "load" and isinstance(node.func, ast.Attribute):
                    owner = ast.unparse(node.func.value)
                    if owner in ("np", "numpy") and allowed is None:
                        found.append(f"{where} calls np.load without saying allow_pickle=False")
    assert found == []


def test_reading_a_checkpoint_imports_nothing_that_runs_code(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path / "a.safetensors", model=nn.Linear(1, 1))
    program = (
        "import sys; from minigrad.checkpoint import read_checkpoint; before = set(sys.modules)\n"
        f"read_checkpoint({str(path)!r}); print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == 0, done.stderr
    assert "pickle" not in done.stdout
