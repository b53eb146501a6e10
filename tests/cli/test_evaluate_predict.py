"""`evaluate`, `predict` and `summary`: a trained model, asked."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minigrad import datasets, io
from minigrad.__main__ import main
from minigrad.commands import sample_file, stored, tasks
from minigrad.commands.experiment import Settings
from minigrad.errors import DataError
from minigrad.models import cnn


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CNN that was trained on the digits, and the folder of its run."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert main(["train", "digits", "--epochs", "8", "--optimizer", "momentum", "--out", str(folder)]) == 0
    return folder


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _json(capsys: pytest.CaptureFixture, *command: object) -> dict:
    capsys.readouterr()
    assert main([*map(str, command), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


# ---- evaluate --------------------------------------------------------------------------------------------------------


def test_evaluate_gives_the_numbers_of_numpy(run: Path, capsys: pytest.CaptureFixture) -> None:
    found = _json(capsys, "evaluate", "digits", "--checkpoint", run, "--top-k", "2", "--out", "report")
    model = cnn(size=8).eval()
    model.load_state_dict(io.load(run / "model.safetensors"))
    digits = datasets.Digits(train=False)
    x, y = digits[np.arange(360)]
    scores, y = model(x).detach().numpy().astype(np.float64), y.numpy()
    log_p = scores - scores.max(1, keepdims=True)
    log_p -= np.log(np.exp(log_p).sum(1, keepdims=True))
    predicted = scores.argmax(1)
    assert found["samples"] == 360
    assert found["loss"] == pytest.approx(-log_p[np.arange(360), y].mean(), rel=1e-5)
    assert found["accuracy"] == (predicted == y).mean()
    assert found["top_k"] == {"k": 2, "accuracy": (np.argsort(-scores)[:, :2] == y[:, None]).any(1).mean()}
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (y, predicted), 1)
    assert found["confusion"] == counts.tolist()
    five = found["classes"][5]
    assert (five["name"], five["samples"]) == ("5", int((y == 5).sum()))
    assert five["recall"] == pytest.approx((predicted[y == 5] == 5).mean())
    assert five["precision"] == pytest.approx((y[predicted == 5] == 5).mean())
    assert Path(found["files"][0]).read_bytes().startswith(b"\x89PNG")
    assert set(found) == {
        "dataset", "split", "samples", "checkpoint", "model", "loss", "accuracy", "top_k", "classes", "confusion",
        "files",
    }  # fmt: skip


def test_weights_checkpoint_and_folder_are_the_same_model(run: Path, capsys: pytest.CaptureFixture) -> None:
    losses = {
        _json(capsys, "evaluate", "digits", "--checkpoint", path)["loss"]
        for path in (run, run / "model.safetensors", run / "last.safetensors")
    }
    assert len(losses) == 1


def test_the_training_samples_are_measured_on_request(run: Path, capsys: pytest.CaptureFixture) -> None:
    assert _json(capsys, "evaluate", "digits", "--checkpoint", run, "--split", "train")["samples"] == 1437
    assert main(["evaluate", "digits", "--checkpoint", str(run)]) == 0
    out = capsys.readouterr().out
    assert "digits: 360 test samples" in out
    assert out.count(" %") >= 30 + 2


def test_a_regression_is_measured_by_its_errors(capsys: pytest.CaptureFixture) -> None:
    trained = _json(capsys, "train", "sine", "--epochs", "2", "--out", "run")
    found = _json(capsys, "evaluate", "sine", "--checkpoint", "run")
    assert found["mae"] == pytest.approx(trained["test_mae"])
    assert found["rmse"] == pytest.approx(trained["test_loss"] ** 0.5)
    np.save("x.npy", np.array([[0.5], [-0.5]]))
    values = [answer["values"] for answer in _json(capsys, "predict", "x.npy", "--checkpoint", "run")["predictions"]]
    assert np.shape(values) == (2, 1)


def test_weights_of_unknown_origin_are_measured_when_the_model_is_named(
    run: Path, capsys: pytest.CaptureFixture
) -> None:
    io.save(io.load(run / "model.safetensors"), "bare.safetensors")
    named = _json(capsys, "evaluate", "digits", "--checkpoint", "bare.safetensors", "--model", "cnn")
    assert named["loss"] == _json(capsys, "evaluate", "digits", "--checkpoint", run)["loss"]
    for command, message in (
        (["evaluate", "digits", "--checkpoint", "bare.safetensors"], "does not say which model it holds"),
        (["predict", "x.npy", "--checkpoint", "bare.safetensors"], "does not say what its inputs are"),
        (["summary", "--checkpoint", "bare.safetensors"], "does not say what its inputs are"),
    ):
        assert main(command) == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        (["evaluate", "moons", "--checkpoint", "RUN"], 2, "was trained on digits, with samples of shape (1, 8, 8)"),
        (["evaluate", "digits", "--checkpoint", "nowhere"], 2, "--checkpoint: there is no nowhere"),
        (["evaluate", "digits", "--checkpoint", "."], 1, "model.safetensors"),
        (["evaluate", "digits", "--checkpoint", "RUN/history.csv"], 1, "safetensors"),
        (["evaluate", "digits", "--checkpoint", "RUN", "--model", "mlp"], 1, "are not those of the model mlp"),
        (["evaluate", "digits"], 2, "required: --checkpoint"),
        (["evaluate", "digits", "--checkpoint", "RUN", "--top-k", "0"], 2, "expected a whole number of at least 1"),
        (["predict", "nowhere.png", "--checkpoint", "RUN"], 2, "nowhere.png: there is no such file"),
        (["predict", "nowhere.npy", "--checkpoint", "RUN"], 2, "nowhere.npy: cannot be read"),
        (["predict", "RUN/history.csv", "--checkpoint", "RUN"], 2, "cannot be read as a picture"),
        (["predict", "x.png"], 2, "required: --checkpoint"),
        (["summary"], 2, "expected a MODEL"),
        (["summary", "cnn", "--input-shape", "1x28x"], 2, "expected the lengths of a shape such as 1x28x28"),
        (["summary", "cnn", "--input-shape", "5"], 2, "expected a dataset of images"),
    ],
)
def test_a_mistake_gets_one_line(
    command: list[str], code: int, message: str, run: Path, capsys: pytest.CaptureFixture
) -> None:
    capsys.readouterr()
    try:
        result = main([part.replace("RUN", str(run)) for part in command])
    except SystemExit as stopped:
        result = stopped.code  # type: ignore[assignment]
    err = capsys.readouterr().err
    assert (result, err.count("\n")) == (code, 1)
    assert message in err


# ---- predict ---------------------------------------------------------------------------------------------------------


def _sharp(digit: int) -> np.ndarray:
    """A test image of the digit, uint8 with white = 255."""
    digits = datasets.Digits(train=False)
    return (digits.images[np.flatnonzero(digits.labels == digit)[0], 0] * 15).astype(np.uint8)


@pytest.mark.parametrize("digit", range(10))
def test_a_photographed_page_gives_the_digit_on_it(digit: int, run: Path, capsys: pytest.CaptureFixture) -> None:
    """Dark on bright, 30 times as large, off the middle, in colour: what a camera makes of a written digit."""
    page = np.full((400, 500, 3), 235, np.uint8)
    page[60:300, 150:390] = 235 - (np.kron(_sharp(digit), np.ones((30, 30), np.uint8)) * 0.9)[..., None]
    Image.fromarray(page).save("page.png")
    found = _json(capsys, "predict", "page.png", "--checkpoint", run)
    answer = found["predictions"][0]
    assert (answer["class"], answer["index"]) == (str(digit), digit)
    assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert max(answer["probabilities"].values()) == answer["probability"]
    assert found["steps"][:3] == ["picture 500x400", "made grey", "inverted, for its edge is bright"]
    assert found["steps"][-1].endswith("in the middle of 8x8")


def test_an_array_of_raw_pixels_gives_what_the_dataset_gives(run: Path, capsys: pytest.CaptureFixture) -> None:
    digits = datasets.Digits(train=False)
    np.save("batch.npy", digits.images[:7])
    np.save("one.npy", digits.images[3, 0])
    np.save("floats.npy", (digits.images[:7] / 16).astype(np.float64))
    batch = _json(capsys, "predict", "batch.npy", "--checkpoint", run)
    assert [int(answer["class"]) for answer in batch["predictions"]] == digits.labels[:7].tolist()
    assert batch["steps"] == ["uint8 array (7, 1, 8, 8)", "divided by 16"]
    assert _json(capsys, "predict", "floats.npy", "--checkpoint", run)["predictions"] == batch["predictions"]
    one = _json(capsys, "predict", "one.npy", "--checkpoint", run)
    assert one["predictions"][0]["probability"] == pytest.approx(batch["predictions"][3]["probability"], rel=1e-5)
    assert main(["predict", "one.npy", "--checkpoint", str(run), "--top", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("predicted 3, probability ")
    assert len(lines) == 4
    assert lines[2].split()[0] == "3"


def test_a_small_picture_of_the_right_size_is_left_as_it_is() -> None:
    bright = _sharp(4)
    Image.fromarray(bright).save("a.png")
    Image.fromarray(255 - bright).save("b.png")
    as_it_is = sample_file.read("a.png", (1, 8, 8), 1.0)
    np.testing.assert_allclose(as_it_is.array[0, 0], bright / np.float32(255), rtol=1e-6)
    assert as_it_is.steps == ["picture 8x8"]
    np.testing.assert_allclose(sample_file.read("b.png", (1, 8, 8), 1.0).array, as_it_is.array, atol=1e-6)
    kept = sample_file.read("b.png", (1, 8, 8), 1.0, invert="no").array
    np.testing.assert_allclose(kept, 1 - as_it_is.array, atol=1e-6)
    np.testing.assert_allclose(sample_file.read("a.png", (1, 8, 8), 1.0, invert="yes").array, kept, atol=1e-6)


def test_every_kind_of_picture_comes_to_the_same() -> None:
    """Grey, colour, palette, transparent, 16 bits a pixel: one drawing, dark on white."""
    drawing = np.full((60, 50), 255, np.uint8)
    drawing[10:50, 20:30] = 0
    grey = Image.fromarray(drawing)
    grey.save("l.png")
    grey.convert("RGB").save("rgb.png")
    grey.convert("P").save("p.png")
    grey.convert("1").save("bits.png")
    Image.fromarray(drawing.astype(np.uint16) * 257).save("deep.png")
    clear = np.zeros((60, 50, 4), np.uint8)  # black ink on nothing
    clear[..., 3] = 255 - drawing
    Image.fromarray(clear).save("clear.png")
    first = sample_file.read("l.png", (1, 28, 28), 20 / 28).array
    for name in ("rgb", "p", "bits", "deep", "clear"):
        np.testing.assert_allclose(sample_file.read(f"{name}.png", (1, 28, 28), 20 / 28).array, first, atol=0.01)
    rows, columns = np.nonzero(first[0, 0])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (4, 23, 12, 16)  # 20 high, 5 wide, in the middle
    assert first.max() == 1


def test_the_centre_of_mass_comes_to_the_middle_as_in_mnist() -> None:
    lopsided = np.zeros((100, 100), np.uint8)
    lopsided[30:70, 20:80] = 60
    lopsided[30:70, 20:40] = 255
    np.save("a.npy", lopsided)
    array = sample_file.read("a.npy", (1, 28, 28), 20 / 28).array[0, 0]
    assert (array.sum(0) @ np.arange(28)) / array.sum() == pytest.approx(13.5, abs=0.5)
    assert (array.sum(1) @ np.arange(28)) / array.sum() == pytest.approx(13.5, abs=0.5)


def _png_that_unpacks_to(pixels: int) -> bytes:
    """A PNG that claims a large square of black and holds a few bytes of it."""
    side = int(pixels**0.5).to_bytes(4, "big")

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    header = chunk(b"IHDR", side + side + b"\x08\x00\x00\x00\x00")
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("cut.npy", b"\x93NUMPY\x01\x00", "is cut or is no .npy file"),
        ("lies.npy", b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999,)}"
         + b" " * 59 + b"\n", "is cut or is no .npy file"),
        ("code.npy", b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,)}"
         + b" " * 69 + b"\n" + b"cos\nsystem\n", "is cut or is no .npy file"),
        ("bomb.png", _png_that_unpacks_to(10**9), "cannot be read as a picture"),
        ("large.png", _png_that_unpacks_to(10**8), "cannot be read as a picture"),
        ("cut.png", _png_that_unpacks_to(400)[:-20], "cannot be read as a picture"),
        ("text.png", b"hello", "cannot be read as a picture"),
    ],
)  # fmt: skip
def test_damaged_and_hostile_files_are_one_error(name: str, content: bytes, message: str) -> None:
    Path(name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        sample_file.read(name, (1, 8, 8), 1.0)


@pytest.mark.parametrize(
    ("array", "shape", "content", "message"),
    [
        (np.zeros((8, 8)), (1, 28, 28), 1.0, "expected a picture of something, got 8x8 equal pixels"),
        (np.full((1, 8, 8), np.nan), (1, 8, 8), 1.0, "expected finite numbers"),
        (np.zeros((0, 1, 8, 8)), (1, 8, 8), 1.0, "expected at least one sample"),
        (
            np.zeros((3, 9, 9)),
            (1, 8, 8),
            1.0,
            r"expected an array of shape \(1, 8, 8\) or \(N, 1, 8, 8\), got \(3, 9, 9\)",
        ),
        (np.zeros(3), (2,), None, r"expected an array of shape \(2,\) or \(N, 2\), got \(3,\)"),
        (np.array(["a", "b"]), (2,), None, "expected an array of numbers"),
    ],
)
def test_an_array_that_does_not_fit_says_what_would(
    array: np.ndarray, shape: tuple, content: float | None, message: str
) -> None:
    np.save("a.npy", array)
    with pytest.raises(DataError, match=message):
        sample_file.read("a.npy", shape, content)


def test_a_picture_for_a_model_of_numbers_is_refused() -> None:
    Image.fromarray(_sharp(1)).save("a.png")
    with pytest.raises(DataError, match="the model was not trained on pictures"):
        sample_file.read("a.png", (2,), None)


# ---- what a file says of its model -----------------------------------------------------------------------------------


def test_a_hostile_description_of_a_model_is_one_error(run: Path, capsys: pytest.CaptureFixture) -> None:
    settings = Settings("digits", "cnn", "adam", 0.1, "constant", 1, 32, 0, None, 1, ())
    good = stored.about(settings, tasks.load("digits"))
    arrays = io.load(run / "model.safetensors")
    for key, value in (
        ("input_shape", [10**6, 10**6]), ("input_shape", "1x8x8"), ("input_shape", [1, -8, 8]),
        ("input_shape", [True]),
        ("outputs", 10**12), ("outputs", None), ("classes", ["a"]), ("classes", [1] * 10), ("model", 3),
        ("dataset", []), ("model", "mlp:hidden=10000000000"), ("model", "cnn:width=16,10000000000"),
    ):  # fmt: skip
        io.save(arrays, "a.safetensors", {"minigrad": json.dumps({**good, key: value})})
        for command in (["evaluate", "digits"], ["predict", "x.png"]):
            assert main([*command, "--checkpoint", "a.safetensors"]) == 1
            assert "makes no sense" in capsys.readouterr().err
    io.save(arrays, "a.safetensors", {"minigrad": "{"})
    assert main(["evaluate", "digits", "--checkpoint", "a.safetensors"]) == 2
    assert "does not say which model" in capsys.readouterr().err


# ---- summary ---------------------------------------------------------------------------------------------------------


def test_summary_counts_what_the_module_counts(run: Path, capsys: pytest.CaptureFixture) -> None:
    found = _json(capsys, "summary", "--checkpoint", run)
    assert found["total_parameters"] == cnn(size=8).num_parameters()
    assert found["rows"][0]["output_shape"] == [32, 16, 8, 8]
    mlp = _json(capsys, "summary", "mlp:hidden=7", "--input-shape", "5", "--outputs", "3", "--batch-size", "4")
    assert mlp["total_parameters"] == 5 * 7 + 7 + 7 * 3 + 3
    assert mlp["multiply_adds"] == 4 * (5 * 7 + 7 * 3)
    assert main(["summary", "cnn"]) == 0
    assert "20,490" in capsys.readouterr().out
