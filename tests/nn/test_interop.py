"""Weights cross to PyTorch and back: by state_dict, and by safetensors files that the format's own library reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import nn
from minigrad.errors import ArgumentError, DTypeError

# A layer of each kind that has parameters or buffers: name, arguments, the input's shape.
LAYERS: list[tuple[str, dict[str, Any], tuple[int, ...]]] = [
    ("Linear", {"in_features": 3, "out_features": 4}, (5, 3)),
    ("Conv1d", {"in_channels": 4, "out_channels": 6, "kernel_size": 3, "groups": 2}, (2, 4, 7)),
    ("Conv2d", {"in_channels": 3, "out_channels": 4, "kernel_size": 3, "bias": False}, (2, 3, 6, 6)),
    ("ConvTranspose1d", {"in_channels": 3, "out_channels": 4, "kernel_size": 3, "stride": 2}, (2, 3, 6)),
    ("ConvTranspose2d", {"in_channels": 4, "out_channels": 2, "kernel_size": 3, "groups": 2}, (2, 4, 5, 5)),
    ("PReLU", {"num_parameters": 3}, (2, 3, 4)),
    ("BatchNorm1d", {"num_features": 4}, (6, 4)),
    ("BatchNorm2d", {"num_features": 3, "affine": False}, (2, 3, 4, 4)),
    ("LayerNorm", {"normalized_shape": (4, 5)}, (2, 4, 5)),
    ("GroupNorm", {"num_groups": 2, "num_channels": 6}, (2, 6, 3)),
    ("RMSNorm", {"normalized_shape": 5}, (2, 3, 5)),
    ("RNN", {"input_size": 3, "hidden_size": 4, "num_layers": 2, "bidirectional": True}, (6, 2, 3)),
    ("LSTM", {"input_size": 3, "hidden_size": 4, "num_layers": 2, "batch_first": True}, (2, 6, 3)),
    ("GRU", {"input_size": 3, "hidden_size": 4, "bidirectional": True}, (6, 2, 3)),
]


def first(output: Any) -> Any:
    return output[0] if isinstance(output, tuple) else output


@pytest.mark.parametrize("form", ["tensors", "arrays", "file"])
@pytest.mark.parametrize(("name", "options", "shape"), LAYERS, ids=lambda value: str(value)[:40])
def test_a_layer_of_pytorch_becomes_ours_and_the_reverse(
    name: str, options: dict, shape: tuple, form: str, tmp_path: Path
) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    theirs = getattr(torch.nn, name)(**options).double()
    ours = getattr(nn, name)(**options).double()
    x = np.random.default_rng(0).normal(size=shape)
    theirs(torch.tensor(x))  # so that running statistics are not the initial ones
    state = theirs.state_dict()
    assert list(ours.state_dict()) == list(state)
    assert {key: value.shape for key, value in ours.state_dict().items()} == {
        k: tuple(v.shape) for k, v in state.items()
    }
    if form == "arrays":
        state = {key: value.numpy() for key, value in state.items()}
    elif form == "file":
        pytest.importorskip("safetensors.torch").save_file(state, tmp_path / "theirs.safetensors")
        state = minigrad.load(tmp_path / "theirs.safetensors")
    assert ours.load_state_dict(state) == ([], [])
    for mode in (True, False):
        y, expected = first(ours.train(mode)(minigrad.tensor(x))), first(theirs.train(mode)(torch.tensor(x)))
        np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), rtol=1e-9, atol=1e-11)

    with minigrad.no_grad():
        for parameter in ours.parameters():
            parameter *= 1.5
    if form == "file":
        minigrad.save(ours.state_dict(), tmp_path / "ours.safetensors")
        back = pytest.importorskip("safetensors.torch").load_file(tmp_path / "ours.safetensors")
    else:
        back = {key: torch.from_numpy(np.array(value.numpy())) for key, value in ours.state_dict().items()}
    theirs.load_state_dict(back)
    y, expected = first(ours(minigrad.tensor(x))), first(theirs(torch.tensor(x)))
    np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), rtol=1e-9, atol=1e-11)


def test_a_whole_model_crosses_with_its_nested_names() -> None:
    torch = pytest.importorskip("torch")

    def build(library: Any) -> Any:
        class Block(library.Module):
            def __init__(self, width: int) -> None:
                super().__init__()
                self.body = library.Sequential(
                    library.Conv2d(width, width, 3, padding=1, bias=False),
                    library.BatchNorm2d(width),
                    library.ReLU(inplace=True),
                )

            def forward(self, x: Any) -> Any:
                return x + self.body(x)

        return library.Sequential(
            library.Conv2d(1, 4, 3),
            *[Block(4) for _ in range(2)],
            library.AdaptiveAvgPool2d(1),
            library.Flatten(),
            library.Linear(4, 3),
        )

    ours, theirs = build(nn), build(torch.nn)
    ours.load_state_dict(theirs.state_dict())
    x = np.random.default_rng(0).normal(size=(3, 1, 8, 8)).astype(np.float32)
    y, expected = ours(minigrad.tensor(x)), theirs(torch.tensor(x))
    np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), rtol=1e-5, atol=1e-6)
    y.sum().backward()
    expected.sum().backward()
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        scale = max(1.0, float(q.grad.abs().max()))
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-4, atol=2e-5 * scale, err_msg=name)
    for (name, b), c in zip(ours.named_buffers(), theirs.buffers(), strict=True):
        np.testing.assert_allclose(b.numpy(), c.numpy(), rtol=1e-5, atol=1e-6, err_msg=name)


def test_values_are_cast_to_the_modules_dtype() -> None:
    torch = pytest.importorskip("torch")
    layer = nn.Linear(3, 2)
    weight = np.random.default_rng(0).normal(size=(2, 3))
    layer.load_state_dict({"weight": weight, "bias": np.arange(2)})
    np.testing.assert_array_equal(layer.weight.data, weight.astype(np.float32))
    np.testing.assert_array_equal(layer.bias.data, np.float32([0, 1]))
    half = torch.tensor(weight).bfloat16()
    layer.load_state_dict({"weight": half, "bias": torch.zeros(2, requires_grad=True)})
    np.testing.assert_array_equal(layer.weight.data, half.float().numpy())


def test_loading_keeps_the_parameters_the_optimizer_knows() -> None:
    layer = nn.Linear(2, 2)
    optimizer = minigrad.optim.SGD(layer.parameters(), lr=1.0)
    layer.load_state_dict({"weight": np.ones((2, 2)), "bias": np.zeros(2)})
    layer(minigrad.ones(1, 2)).sum().backward()
    optimizer.step()
    np.testing.assert_array_equal(layer.weight.data, np.zeros((2, 2)))


def test_loading_values_that_a_graph_still_needs_is_noticed() -> None:
    layer = nn.Linear(2, 1)
    x = minigrad.ones(1, 2, requires_grad=True)
    loss = layer(x).sum()
    layer.load_state_dict({"weight": np.ones((1, 2)), "bias": np.zeros(1)})
    with pytest.raises(minigrad.errors.GraphError, match="changed in place"):
        loss.backward()


def awkward() -> dict[str, np.ndarray]:
    """Arrays whose memory is not simply their elements in order."""
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    image = np.arange(48, dtype=np.float64).reshape(2, 4, 2, 3)
    return {
        "contiguous": base,
        "transposed": base.T,
        "every second": base[::2, 1::2],
        "reversed": base[::-1],
        "channels last": image.transpose(0, 3, 1, 2),
        "fortran": np.asfortranarray(base),
        "broadcast": np.broadcast_to(np.float32(3), (2, 3)),
        "view of the same memory": base[1:3],
        "0-d": np.array(2.5, np.float32),
        "empty": np.zeros((0, 3), np.float32),
        "empty and strided": np.zeros((4, 0), np.float32)[::2],
        "other byte order": np.arange(5, dtype=">f4"),
        "bool": np.array([True, False, True])[::2],
        "int64": np.arange(6).reshape(2, 3).T,
        "float16": np.arange(4, dtype=np.float16)[::-1],
        "a name with ü and / and .": np.ones(1, np.uint8),
    }


def test_strided_arrays_are_written_in_order_as_the_formats_own_library_reads_them(tmp_path: Path) -> None:
    library = pytest.importorskip("safetensors.numpy")
    arrays = awkward()
    path = tmp_path / "x.safetensors"
    minigrad.save({name: minigrad.from_numpy(a) if a.dtype.isnative else a for name, a in arrays.items()}, path)
    by_library, by_us = library.load_file(path), minigrad.load(path)
    assert set(by_library) == set(by_us) == set(arrays)
    for name, array in arrays.items():
        assert by_us[name].shape == by_library[name].shape == array.shape, name
        assert by_us[name].dtype == array.dtype.newbyteorder("="), name
        np.testing.assert_array_equal(by_library[name], array, err_msg=name)
        np.testing.assert_array_equal(by_us[name].data, array, err_msg=name)


def test_what_was_loaded_can_be_written_to_and_shares_nothing(tmp_path: Path) -> None:
    base = np.zeros(6, np.float32)
    minigrad.save({"whole": base, "part": base[:3]}, tmp_path / "x.safetensors")
    found = minigrad.load(tmp_path / "x.safetensors")
    found["whole"].data[:] = 1
    assert found["part"].tolist() == [0, 0, 0]


def test_a_channels_last_weight_comes_back_as_it_was(tmp_path: Path) -> None:
    layer = nn.Conv2d(3, 4, 2)
    layer.weight.data = np.ascontiguousarray(layer.weight.data.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    minigrad.save(layer.state_dict(), tmp_path / "x.safetensors")
    other = nn.Conv2d(3, 4, 2)
    other.load_state_dict(minigrad.load(tmp_path / "x.safetensors"))
    np.testing.assert_array_equal(other.weight.data, layer.weight.data)


@pytest.mark.parametrize(
    ("tensors", "metadata", "error"),
    [
        ({"x": [1, 2]}, None, DTypeError),
        ({"x": np.array(["text"])}, None, DTypeError),
        ({"x": np.ones(2, complex)}, None, DTypeError),
        ({"x": np.ones(2)}, {"epoch": 3}, ArgumentError),
    ],
)
def test_a_failed_save_leaves_the_old_file(tensors: dict, metadata: Any, error: type, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    minigrad.save({"x": np.arange(3.0)}, path)
    before = path.read_bytes()
    with pytest.raises(error, match="save"):
        minigrad.save(tensors, path, metadata)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["x.safetensors"]
