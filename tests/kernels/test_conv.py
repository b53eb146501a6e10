"""Convolution and its gradients: the fast kernels, their plain twins, and PyTorch."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

from minigrad.errors import ShapeError
from minigrad.kernels import conv, conv_gray_plan, conv_pool, conv_run, conv_winograd_plan, plain, pool
from minigrad.kernels.jit import jit_disabled

Pair = tuple[int, int]


class Case(NamedTuple):
    """A random convolution."""

    x: np.ndarray
    w: np.ndarray
    b: np.ndarray | None
    g: np.ndarray
    options: dict[str, Any]


NO_OPTIONS: dict[str, Any] = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "groups": 1}
LAYOUTS = (
    "channels first",
    "channels last",
    "every second channel",
    "reversed",
    "half of the channels",
    "columns of pixels",
    "broadcast",
)


def laid_out(x: np.ndarray, layout: str) -> np.ndarray:
    """The numbers of x, or some that are easier to lay out, in another memory layout."""
    if layout == "channels last":
        return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    if layout == "half of the channels":
        return laid_out(np.concatenate((x, x), axis=1), "channels last")[:, : x.shape[1]]
    if layout == "columns of pixels":
        return np.ascontiguousarray(x.transpose(0, 3, 2, 1)).transpose(0, 3, 2, 1)
    if layout == "every second channel":
        return np.repeat(x, 2, axis=1)[:, ::2]
    if layout == "reversed":
        return np.ascontiguousarray(x[:, ::-1, ::-1, ::-1])[:, ::-1, ::-1, ::-1]
    if layout == "broadcast":
        return np.broadcast_to(x[:, :1, :1, :1], x.shape)
    return x


def random_case(seed: int, dtype: type = np.float32) -> Case:
    rng = np.random.default_rng(seed)

    def pick(low: int, high: int) -> int:
        return int(rng.integers(low, high + 1))

    groups = pick(2, 3) if seed % 4 == 3 else 1
    inputs, outputs = pick(1, 11), pick(1, 37)
    kernel, stride, dilation = (pick(1, 4), pick(1, 4)), (pick(1, 3), pick(1, 3)), (pick(1, 3), pick(1, 3))
    padding = ((pick(0, 2), pick(0, 2)), (pick(0, 2), pick(0, 2)))
    least = [max(1, dilation[i] * (kernel[i] - 1) + 1 - sum(padding[i])) for i in (0, 1)]
    size = (least[0] + pick(0, 14), least[1] + pick(0, 14))
    x = rng.standard_normal((pick(1, 9), inputs * groups, *size)).astype(dtype)
    w = rng.standard_normal((outputs * groups, inputs, *kernel)).astype(dtype)
    b = rng.standard_normal(outputs * groups).astype(dtype) if seed % 3 else None
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    g = rng.standard_normal(conv.conv2d_output_shape(x.shape, w.shape, *options.values())).astype(dtype)
    return Case(laid_out(x, LAYOUTS[seed % 7]), w, b, laid_out(g, LAYOUTS[seed // 7 % 7]), options)


def winner_case(seed: int, dtype: type = np.float32) -> Case:
    """One whose gradients, after pooling, are made from the winners of the windows: see `conv_winners.py`."""
    rng = np.random.default_rng(seed)

    def pick(low: int, high: int) -> int:
        return int(rng.integers(low, high + 1))

    lanes = launches().LANES if not jit_disabled() else 8
    inputs, outputs = 2 * lanes * pick(1, 3), lanes * pick(1, 10)
    kernel, stride, dilation = (3, 3 * pick(1, 2) if seed % 3 == 0 else 3), (pick(1, 2), pick(1, 2)), (pick(1, 2), 1)
    padding = ((pick(0, 2), pick(0, 2)), (pick(0, 2), pick(0, 2)))
    # Every fifth is large enough to be cut into bands.
    size = tuple(dilation[i] * (kernel[i] - 1) + 4 + pick(0, 10) + (25 if seed % 5 == 0 else 0) for i in (0, 1))
    x = rng.standard_normal((pick(7, 12), inputs, *size)).astype(dtype)
    w = rng.standard_normal((outputs, inputs, *kernel)).astype(dtype)
    b = rng.standard_normal(outputs).astype(dtype) if seed % 3 else None
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": 1}
    g = rng.standard_normal(conv.conv2d_output_shape(x.shape, w.shape, *options.values())).astype(dtype)
    return Case(laid_out(x, LAYOUTS[seed % 6]), w, b, g, options)


def tile_case(seed: int, dtype: type = np.float32) -> Case:
    """One that goes by transformed tiles where it is large enough: see `conv_winograd.py`."""
    rng = np.random.default_rng(seed)

    def pick(low: int, high: int) -> int:
        return int(rng.integers(low, high + 1))

    inputs, outputs = 16 * pick(1, 3), 16 * pick(1, 5)
    padding = ((pick(0, 2), pick(0, 2)), (pick(0, 2), pick(0, 2)))
    # Every fifth is large enough to be cut into bands.
    size = tuple(3 + pick(0, 12) + (35 if seed % 5 == 0 else 0) for _ in range(2))
    x = rng.standard_normal((pick(1, 9), inputs, *size)).astype(dtype)
    w = rng.standard_normal((outputs, inputs, 3, 3)).astype(dtype)
    b = rng.standard_normal(outputs).astype(dtype) if seed % 3 else None
    options = {**NO_OPTIONS, "padding": padding}
    g = rng.standard_normal(conv.conv2d_output_shape(x.shape, w.shape, *options.values())).astype(dtype)
    return Case(laid_out(x, LAYOUTS[seed % 6]), w, b, laid_out(g, LAYOUTS[seed // 6 % 6]), options)


def gray_case(seed: int, dtype: type = np.float32) -> Case:
    """One of images with one channel, which goes by tiles in registers where it is large enough: see `conv_gray.py`."""
    rng = np.random.default_rng(seed)

    def pick(low: int, high: int) -> int:
        return int(rng.integers(low, high + 1))

    lanes = launches().LANES if not jit_disabled() else 8
    outputs = lanes * pick(1, 7)
    padding = ((pick(0, 3), pick(0, 3)), (pick(0, 3), pick(0, 3)))
    # Every fifth is large enough to be cut into bands, and wide enough for several vectors of tiles.
    size = tuple(3 + pick(0, 14) + (70 if seed % 5 == 0 else 0) for _ in range(2))
    x = rng.standard_normal((pick(1, 9), 1, *size)).astype(dtype)
    w = rng.standard_normal((outputs, 1, 3, 3)).astype(dtype)
    b = rng.standard_normal(outputs).astype(dtype) if seed % 3 else None
    options = {**NO_OPTIONS, "padding": padding}
    g = rng.standard_normal(conv.conv2d_output_shape(x.shape, w.shape, *options.values())).astype(dtype)
    return Case(laid_out(x, LAYOUTS[seed % 7]), w, b, laid_out(g, LAYOUTS[seed // 7 % 7]), options)


def plan_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep no plans: they are made under conditions that a test changes."""
    if not jit_disabled():
        for name in ("forward", "backward", "weights"):
            function = getattr(launches(), name)
            monkeypatch.setattr(launches(), name, getattr(function, "__wrapped__", function))


def launches() -> Any:
    """The file that chooses the kernels; importing it brings Numba with it."""
    from minigrad.kernels import conv_launch

    return conv_launch


def cut_into(tasks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many tasks, however small the work is: each worker has its own scratch memory."""
    if not jit_disabled():
        monkeypatch.setattr(launches(), "_tasks", lambda *_: tasks)


def without_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    plan_anew(monkeypatch)
    for name in ("by_tiles", "weights_by_tiles") if not jit_disabled() else ():
        monkeypatch.setattr(launches(), name, lambda *_: False)


TILED = [tile_case, gray_case]


@pytest.fixture
def by_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few there are."""
    monkeypatch.setattr(conv_winograd_plan, "_FEWEST_TILES", 1)
    monkeypatch.setattr(conv_winograd_plan, "_FEWEST_NUMBERS", 1)
    monkeypatch.setattr(conv_gray_plan, "_FEWEST_TILES", 1)
    plan_anew(monkeypatch)


def close(result: np.ndarray, truth: np.ndarray, tolerance: float) -> None:
    """Compare with the largest number, because a sum of products can cancel to any smaller one."""
    assert result.shape == truth.shape
    scale = np.abs(truth).max(initial=1e-30)
    np.testing.assert_allclose(result / scale, truth / scale, rtol=0, atol=tolerance)


def with_torch(case: Case) -> tuple[np.ndarray, ...]:
    """y, gx, gw, gb as PyTorch computes them in float64."""
    torch = pytest.importorskip("torch")
    x, w = (torch.tensor(np.ascontiguousarray(a, np.float64), requires_grad=True) for a in (case.x, case.w))
    b = torch.zeros(len(case.w), dtype=torch.float64) if case.b is None else torch.tensor(case.b.astype(np.float64))
    b.requires_grad_()
    (top, bottom), (left, right) = case.options["padding"]
    padded = torch.nn.functional.pad(x, (left, right, top, bottom))
    rest = {name: case.options[name] for name in ("stride", "dilation", "groups")}
    y = torch.nn.functional.conv2d(padded, w, b, **rest)
    y.backward(torch.tensor(np.ascontiguousarray(case.g, np.float64)))
    return tuple(a.detach().numpy() for a in (y, x.grad, w.grad, b.grad))


def with_minigrad(case: Case) -> tuple[np.ndarray, ...]:
    y = conv.conv2d(case.x, case.w, case.b, **case.options)
    gx = conv.conv2d_input_grad(case.g, case.w, case.x.shape, **case.options)
    gw, gb = conv.conv2d_weight_bias_grad(case.g, case.x, case.w.shape, **case.options)
    return y, gx, gw, gb


@pytest.mark.parametrize("seed", range(60))
def test_float32_matches_pytorch(seed: int) -> None:
    case = random_case(seed)
    for result, truth in zip(with_minigrad(case), with_torch(case), strict=True):
        assert result.dtype == np.float32
        close(result, truth, 1e-5)


@pytest.mark.parametrize("seed", range(20))
def test_float64_matches_pytorch(seed: int) -> None:
    case = random_case(seed, np.float64)
    for result, truth in zip(with_minigrad(case), with_torch(case), strict=True):
        assert result.dtype == np.float64
        close(result, truth, 1e-10)


@pytest.mark.parametrize("seed", range(100, 130))
def test_vector_kernels_match_their_plain_twins(seed: int) -> None:
    compare_with_twins(random_case(seed))


def compare_with_twins(case: Case) -> None:
    y, gx, gw, _ = with_minigrad(case)
    x, w, g = (np.ascontiguousarray(a, np.float64) for a in (case.x, case.w, case.g))
    stride, padding, dilation, _ = case.options.values()
    corner = (padding[0][0], padding[1][0])
    b = np.zeros(len(w)) if case.b is None else case.b.astype(np.float64)
    twin = np.empty(y.shape)
    plain.conv2d(x, w, b, twin, stride, corner, dilation)
    close(y, twin, 1e-5)
    twin = np.zeros(x.shape)
    plain.conv2d_input_grad(g, w, twin, stride, corner, dilation)
    close(gx, twin, 1e-5)
    twin = np.zeros(w.shape)
    plain.conv2d_weight_grad(g, x, twin, stride, corner, dilation)
    close(gw, twin, 1e-5)


@pytest.mark.usefixtures("by_tiles")
@pytest.mark.parametrize("make", TILED)
@pytest.mark.parametrize("seed", range(600, 630))
def test_transformed_tiles_match_pytorch(seed: int, make: Any) -> None:
    case = make(seed)
    for result, truth in zip(with_minigrad(case), with_torch(case), strict=True):
        close(result, truth, 1e-5)


@pytest.mark.usefixtures("by_tiles")
@pytest.mark.parametrize("make", TILED)
@pytest.mark.parametrize("seed", range(630, 645))
def test_transformed_tiles_match_the_plain_twins(seed: int, make: Any) -> None:
    compare_with_twins(make(seed))


@pytest.mark.usefixtures("by_tiles")
@pytest.mark.parametrize("make", TILED)
@pytest.mark.parametrize("seed", range(645, 655))
def test_transformed_tiles_are_exact_where_the_numbers_are_small_integers(seed: int, make: Any) -> None:
    # Halves of sums of integers are exact, and so are their products and sums: no rounding hides a wrong number.
    x, w, b, g, options = make(seed)
    case = Case(np.round(2 * x), np.round(2 * w), None if b is None else np.round(b), np.round(2 * g), options)
    wide = Case(*(None if a is None else a.astype(np.float64) for a in case[:4]), options)
    for result, truth in zip(with_minigrad(case), with_minigrad(wide), strict=True):
        np.testing.assert_array_equal(result, truth)


@pytest.mark.usefixtures("by_tiles")
@pytest.mark.parametrize("make", TILED)
@pytest.mark.parametrize("seed", range(655, 667))
def test_transformed_tiles_give_the_same_bits_in_any_number_of_tasks(
    seed: int, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = make(seed)
    window = ((2, 2), (1, 2), (3, 1), (3, 3))[seed % 4]
    case = case if min(case.g.shape[2:]) >= 3 else make(600)
    g = pool_gradient(case, window)
    cut_into(1, monkeypatch)
    expected = [*with_minigrad(case), *pooled(case, window, g)]
    for tasks in (3, 16):
        cut_into(tasks, monkeypatch)
        for some, one in zip([*with_minigrad(case), *pooled(case, window, g)], expected, strict=True):
            assert some.tobytes() == one.tobytes()


@pytest.mark.usefixtures("by_tiles")
@pytest.mark.parametrize("make", TILED)
@pytest.mark.parametrize("seed", range(667, 691))
def test_transformed_tiles_pooled_in_one_pass_give_the_same_bits(seed: int, make: Any) -> None:
    case = make(seed)
    windows = ((2, 2), (3, 3), (2, 3), (4, 1), (1, 2), (2, 1), (1, 3), (3, 1))
    window = windows[seed % 8] if min(case.g.shape[2:]) >= 4 else (1, 1)
    g = pool_gradient(case, window)
    one, four = pooled(case, window, g), separately(case, window, g)
    # Of windows with four numbers and more the gradients are made from the winners, without tiles, and round otherwise.
    same = 5 if window[0] * window[1] < 4 or make is gray_case else 2
    for a, b in zip(one[:same], four[:same], strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(one[same:], four[same:], strict=True):
        close(a, b, 2e-6)


@pytest.mark.usefixtures("by_tiles")
@pytest.mark.parametrize("channels", [1, 16])
def test_nan_reaches_with_tiles_what_it_reaches_without(channels: int) -> None:
    for row, column in ((2, 2), (3, 3), (0, 5)):
        x = np.random.default_rng(0).standard_normal((4, channels, 6, 6)).astype(np.float32)
        x[1, channels // 2, row, column] = np.nan
        w = np.ones((16, channels, 3, 3), np.float32)
        y = conv.conv2d(x, w, padding=((1, 1), (1, 1)))
        wide = conv.conv2d(x.astype(np.float64), w.astype(np.float64), padding=((1, 1), (1, 1)))
        np.testing.assert_array_equal(np.isnan(y), np.isnan(wide))


@pytest.mark.skipif(jit_disabled(), reason="about compiled code")
def test_which_convolutions_go_by_tiles() -> None:
    same = ((1, 1), (1, 1))

    def kernels(inputs: int, outputs: int, size: int = 14, images: int = 32, kernel: int = 3, **options: Any) -> str:
        x, w = np.zeros((images, size, size, inputs), np.float32), np.zeros((outputs, inputs, kernel, kernel), "f4")
        x = x.transpose(0, 3, 1, 2)
        geometry = conv_run.Geometry(**{"stride": (1, 1), "padding": same, "dilation": (1, 1), "groups": 1, **options})
        y = np.zeros(conv.conv2d_output_shape(x.shape, w.shape, *geometry), np.float32)
        x_layout, w_layout, y_layout = ((a.shape, a.strides) for a in (x, w, y))
        none = conv_run.NO_WINDOW
        chosen = (
            launches().forward(x_layout, w_layout, y_layout, geometry, True, none, 1),
            launches().backward(y_layout, w_layout, x_layout, geometry, none, 1),
            launches().weights(x_layout, y_layout, y.shape, w.shape, geometry, True, none, 1),
        )
        return " ".join(launch.main.function.__name__ for launch in chosen)

    tiles, direct = "gather_tiles gather_tiles tile_partials", "gather gather weight_partials"
    assert kernels(16, 32) == tiles
    assert kernels(16, 32, images=8) == "gather_tiles gather_tiles weight_partials"
    assert kernels(16, 32, size=4, images=4) == direct
    assert kernels(2, 32) == kernels(16, 17) == kernels(17, 16) == direct
    lanes, gray = launches().LANES, direct
    if launches().REGISTERS > 16:
        gray = "gray_tiles gather gray_partials"
    assert kernels(1, lanes) == kernels(1, 16) == kernels(1, 3 * lanes) == gray
    assert kernels(1, 17) == kernels(1, 32, size=4, images=4) == kernels(1, 32, kernel=5) == direct
    assert kernels(1, 32, stride=(1, 2)) == kernels(1, 32, dilation=(2, 1)) == direct
    assert kernels(1, 32, images=2, size=512) == gray
    assert kernels(1, 32, images=2, size=514) == direct
    assert kernels(32, 32, kernel=5) == direct
    # A row of tiles of so wide an image would take 4 MB of scratch memory.
    geometry = conv_run.Geometry((1, 1), same, (1, 1), 1)
    for width, chosen in ((4096, True), (4098, False)):
        assert conv_winograd_plan.by_tiles((16, 16, 3, 3), geometry, (1, 16, 2, width), 8) == chosen
    assert kernels(32, 32, stride=(1, 2)) == kernels(32, 32, dilation=(2, 1)) == direct


@pytest.mark.parametrize("channels", range(1, 36))
def test_every_number_of_output_channels(channels: int) -> None:
    rng = np.random.default_rng(channels)
    x = rng.standard_normal((2, 3, 5, 5)).astype(np.float32)
    w = rng.standard_normal((channels, 3, 3, 3)).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(2, 3))
    close(conv.conv2d(x, w), np.einsum("ncijpq,ocpq->noij", windows.astype(np.float64), w), 1e-5)


def test_large_images_are_cut_into_bands() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 5, 70, 300)).astype(np.float32)
    w = rng.standard_normal((7, 5, 3, 5)).astype(np.float32)
    g = rng.standard_normal((1, 7, 35, 300)).astype(np.float32)
    case = Case(x, w, None, g, {"stride": (2, 1), "padding": ((1, 1), (2, 2)), "dilation": (1, 1), "groups": 1})
    for result, truth in zip(with_minigrad(case), with_torch(case), strict=True):
        close(result, truth, 1e-5)


@pytest.mark.parametrize("groups", [3, 8, 24])
def test_grouped_and_depthwise_convolution(groups: int) -> None:
    rng = np.random.default_rng(groups)
    x = rng.standard_normal((3, 24, 9, 9)).astype(np.float32)
    w = rng.standard_normal((48, 24 // groups, 3, 3)).astype(np.float32)
    g = rng.standard_normal((3, 48, 9, 9)).astype(np.float32)
    options = {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": groups}
    case = Case(x, w, None, g, options)
    for result, truth in zip(with_minigrad(case), with_torch(case), strict=True):
        close(result, truth, 1e-5)


def test_results_have_channels_last_memory() -> None:
    y, gx, _, _ = with_minigrad(random_case(0))
    for image in (y, gx):
        assert image.transpose(0, 2, 3, 1).flags.c_contiguous


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_empty_batch_gives_empty_images_and_zero_gradients(dtype: type) -> None:
    x, w, b = np.zeros((0, 3, 8, 8), dtype), np.ones((4, 3, 3, 3), dtype), np.ones(4, dtype)
    y = conv.conv2d(x, w, b)
    assert y.shape == (0, 4, 6, 6)
    assert conv.conv2d_input_grad(y, w, x.shape).shape == x.shape
    gw, gb = conv.conv2d_weight_bias_grad(y, x, w.shape)
    assert not gw.any()
    assert gw.shape == w.shape
    assert gb.tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("seed", range(8))
def test_bias_gradient_is_the_sum_over_all_pixels(seed: int) -> None:
    g = random_case(seed).g
    close(conv.conv2d_bias_grad(g), g.sum((0, 2, 3), dtype=np.float64), 1e-5)


def test_float16_is_computed_in_float32_and_returned_as_float16() -> None:
    case = random_case(1, np.float16)
    y = conv.conv2d(case.x, case.w, case.b, **case.options)
    wide = conv.conv2d(case.x.astype(np.float64), case.w.astype(np.float64), case.b.astype(np.float64), **case.options)
    assert y.dtype == np.float16
    close(y, wide, 1e-3)


def pool_gradient(case: Case, window: Pair) -> np.ndarray:
    n, o, height, width = case.g.shape
    shape = (n, o, height // window[0], width // window[1])
    return np.random.default_rng(0).standard_normal(shape).astype(case.x.dtype)


def pooled(case: Case, window: Pair, g: np.ndarray) -> list[np.ndarray]:
    """Convolution, ReLU and pooling in one pass: z, index, gx, gw, gb."""
    options = {**case.options, "window": window}
    z, index = conv_pool.conv2d_relu_pool(case.x, case.w, case.b, **options)
    gx = conv_pool.conv2d_relu_pool_input_grad(g, index, case.w, case.x.shape, **options)
    return [z, index, gx, *conv_pool.conv2d_relu_pool_weight_bias_grad(g, index, case.x, case.w.shape, **options)]


def separately(case: Case, window: Pair, g: np.ndarray) -> list[np.ndarray]:
    """The same in four passes."""
    y = conv.conv2d(case.x, case.w, case.b, **case.options)
    z, index = pool.relu_max_pool2d(y, window, window)
    gy = pool.max_pool2d_grad(g, index, y.shape, window, window)
    gx = conv.conv2d_input_grad(gy, case.w, case.x.shape, **case.options)
    return [z, index, gx, *conv.conv2d_weight_bias_grad(gy, case.x, case.w.shape, **case.options)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(300, 340))
def test_convolution_relu_and_pooling_in_one_pass_give_the_same_bits(seed: int, dtype: type) -> None:
    case = random_case(seed, dtype)
    window = (1 + seed % 3, 1 + seed // 3 % 3)
    if case.g.shape[2] < window[0] or case.g.shape[3] < window[1]:
        window = (1, 1)
    g = laid_out(pool_gradient(case, window), LAYOUTS[seed % 6])
    for one, four in zip(pooled(case, window, g), separately(case, window, g), strict=True):
        assert one.dtype == four.dtype
        np.testing.assert_array_equal(one, four)


@pytest.mark.parametrize("seed", range(500, 530))
def test_gradients_made_from_the_winners_are_those_of_all_products_bit_for_bit(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = winner_case(seed)
    window = ((2, 2), (2, 3), (3, 2), (4, 1), (1, 4), (1, 5))[seed % 6]
    if case.g.shape[2] < window[0] or case.g.shape[3] < window[1]:
        window = (2, 2)
    g = laid_out(pool_gradient(case, window), LAYOUTS[seed % 6])
    without_tiles(monkeypatch)
    expected = separately(case, window, g)
    for tasks in (1, 3, 16):
        cut_into(tasks, monkeypatch)
        for one, four in zip(pooled(case, window, g), expected, strict=True):
            np.testing.assert_array_equal(one, four)


@pytest.mark.skipif(jit_disabled(), reason="about compiled code")
def test_the_second_layer_of_a_cnn_goes_by_winners_and_the_first_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    without_tiles(monkeypatch)
    same = ((1, 1), (1, 1))

    def kernels(inputs: int, outputs: int, **options: Any) -> list[str]:
        window, images = options.pop("window", (2, 2)), options.pop("images", 8)
        x, w = np.zeros((images, inputs, 14, 14), np.float32), np.zeros((outputs, inputs, 3, 3), np.float32)
        geometry = conv_run.Geometry(**{"stride": (1, 1), "padding": same, "dilation": (1, 1), "groups": 1, **options})
        n, o, h, v = conv.conv2d_output_shape(x.shape, w.shape, *geometry)
        g = np.zeros((n, h // window[0], v // window[1], o), np.float32).transpose(0, 3, 1, 2)
        in_memory = [(array.shape, array.strides) for array in (g, w, x)]
        backward = launches().backward(*in_memory, geometry, window, 1)
        weights = launches().weights(*in_memory[::-2], (n, o, h, v), w.shape, geometry, True, window, 1)
        return [launch.main.function.__name__ for launch in (backward, weights)]

    lanes = launches().LANES
    assert kernels(2 * lanes, 4 * lanes) == ["scatter_winners", "winner_sums"]
    assert kernels(2 * lanes, 4 * lanes, images=7) == ["gather", "winner_sums"]
    assert kernels(lanes, 2 * lanes) == ["gather", "weight_partials"]
    assert kernels(3, 2 * lanes) == ["gather", "weight_partials"]
    assert kernels(2 * lanes, lanes + 1) == ["gather", "weight_partials"]
    assert kernels(2 * lanes + 1, lanes) == ["gather", "weight_partials"]
    assert kernels(2 * lanes, lanes, dilation=(1, 2)) == ["gather", "weight_partials"]
    assert kernels(2 * lanes, lanes, window=(1, 2)) == ["gather", "weight_partials"]


@pytest.mark.skipif(jit_disabled(), reason="about compiled code")
def test_what_did_not_win_leaves_no_trace_in_the_gradients_even_where_it_is_infinite() -> None:
    # The kernels copy the first channel: y = x[:, 0] in every channel. The infinite number loses its window.
    x = np.zeros((8, 32, 4, 4), np.float32)
    x[:, 0] = 1
    x[0, 0, 1, 1] = -np.inf
    w = np.zeros((16, 32, 3, 3), np.float32)
    w[:, 0, 1, 1] = 1
    z, index = conv_pool.conv2d_relu_pool(x, w, padding=((1, 1), (1, 1)))
    g = np.ones_like(z)
    gw, gb = conv_pool.conv2d_relu_pool_weight_bias_grad(g, index, x, w.shape, padding=((1, 1), (1, 1)))
    assert (gb == 8 * 4).all()
    assert np.isfinite(gw[:, 1:]).all()
    gx = conv_pool.conv2d_relu_pool_input_grad(g, index, w, x.shape, padding=((1, 1), (1, 1)))
    assert np.isfinite(gx).all()
    assert gx[0, 0].sum() == 16 * 4


def test_one_pass_over_images_that_are_cut_into_bands() -> None:
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(s).astype(np.float32) for s in ((2, 3, 41, 60), (20, 3, 3, 3)))
    case = Case(x, w, None, np.empty((2, 20, 41, 60), np.float32), {**NO_OPTIONS, "padding": ((1, 1), (1, 1))})
    for window in ((2, 2), (3, 5)):
        g = pool_gradient(case, window)
        for one, four in zip(pooled(case, window, g), separately(case, window, g), strict=True):
            np.testing.assert_array_equal(one, four)


@pytest.mark.usefixtures("by_tiles")
@pytest.mark.parametrize("outputs", [9, 16])
def test_nan_goes_through_the_one_pass_as_through_the_four(outputs: int) -> None:
    x = np.random.default_rng(0).standard_normal((1, 1, 6, 6)).astype(np.float32)
    x[0, 0, 1, 2] = np.nan
    case = Case(x, np.ones((outputs, 1, 3, 3), np.float32), None, np.empty((1, outputs, 4, 4), "f4"), NO_OPTIONS)
    g = pool_gradient(case, (2, 2))
    for one, four in zip(pooled(case, (2, 2), g), separately(case, (2, 2), g), strict=True):
        np.testing.assert_array_equal(one, four)


def test_the_one_pass_refuses_gradients_and_positions_of_other_shapes() -> None:
    x, w = np.zeros((1, 1, 6, 6), np.float32), np.zeros((2, 1, 3, 3), np.float32)
    z, index = conv_pool.conv2d_relu_pool(x, w)
    with pytest.raises(ShapeError, match=r"\(1, 2, 2, 2\), got \(1, 2, 4, 4\)"):
        conv_pool.conv2d_relu_pool_weight_bias_grad(np.zeros((1, 2, 4, 4), np.float32), index, x, w.shape)
    with pytest.raises(ShapeError, match="one position for each window"):
        conv_pool.conv2d_relu_pool_input_grad(z, index[:, :1], w, x.shape)


class Guard:
    """Gives out buffers that are surrounded by NaN (bytes: by 77) and full of it, and checks the surroundings."""

    def __init__(self) -> None:
        self.margins: list[np.ndarray] = []

    def buffer(self, length: int, dtype: Any = np.float32) -> np.ndarray:
        mark = np.nan if np.dtype(dtype).kind == "f" else 77
        buffer = np.full(length + 128, mark, dtype)
        self.margins += [buffer[:64], buffer[-64:]]
        return buffer[64:-64]

    def numbers(self, length: int) -> np.ndarray:
        return self.buffer(length)

    def image(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        n, c, h, w = shape
        return self.buffer(n * c * h * w, dtype).reshape(n, h, w, c).transpose(0, 3, 1, 2)

    def copy(self, x: np.ndarray) -> np.ndarray:
        """x, in its own order of axes, surrounded by NaN."""
        order = np.argsort([-s for s in x.strides], kind="stable")
        image = self.buffer(x.size).reshape([x.shape[i] for i in order]).transpose(np.argsort(order))
        image[...] = x
        return image

    def check(self) -> None:
        for margin in self.margins:
            np.testing.assert_array_equal(margin, 77 if margin.dtype == np.uint8 else np.nan)


@pytest.mark.usefixtures("by_tiles")
@pytest.mark.parametrize("seed", range(200, 320))
def test_nothing_outside_a_buffer_is_read_or_written(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    guard = Guard()
    kinds = random_case, winner_case, tile_case, gray_case
    case = kinds[(seed >= 240) + (seed >= 260) + (seed >= 290)](seed)
    inside = Case(
        guard.copy(case.x),
        guard.copy(case.w),
        None if case.b is None else guard.copy(case.b),
        guard.copy(case.g),
        case.options,
    )

    def results(case: Case) -> list[np.ndarray]:
        found = list(with_minigrad(case))
        if min(case.g.shape[2:]) > 1:
            found += pooled(case, (2, 2), pool_gradient(case, (2, 2)))
        return found

    expected = results(case)
    if seed % 2:
        cut_into(3, monkeypatch)
    for module in (conv, conv_pool):
        monkeypatch.setattr(module, "empty_image", guard.image)
    for name in ("empty_numbers", "workspace"):
        monkeypatch.setattr(conv_run, name, guard.numbers)
    for result, truth in zip(results(inside), expected, strict=True):
        # NaN read from anywhere would show in the sums, and so would a number that was never written.
        np.testing.assert_array_equal(result, truth)
    guard.check()


@pytest.mark.parametrize("seed", range(4))
def test_two_runs_give_the_same_bits(seed: int) -> None:
    case = random_case(seed)
    for first, second in zip(with_minigrad(case), with_minigrad(case), strict=True):
        assert first.tobytes() == second.tobytes()


def test_nan_in_the_input_reaches_the_output() -> None:
    x = np.zeros((1, 1, 5, 5), np.float32)
    x[0, 0, 2, 2] = np.nan
    y = conv.conv2d(x, np.ones((1, 1, 3, 3), np.float32), padding=((1, 1), (1, 1)))
    assert np.isnan(y[0, 0, 1:4, 1:4]).all()
    assert not np.isnan(y[0, 0, 0]).any()


@pytest.mark.parametrize(
    ("x", "w", "groups", "words"),
    [
        ((1, 4, 8, 8), (6, 3, 3, 3), 1, "3 channels"),
        ((1, 4, 8, 8), (5, 2, 3, 3), 2, "2 divides"),
        ((1, 3, 2, 8), (6, 3, 3, 3), 1, "height"),
    ],
)
def test_shapes_that_do_not_fit_are_named(x: tuple[int, ...], w: tuple[int, ...], groups: int, words: str) -> None:
    with pytest.raises(ShapeError, match=words):
        conv.conv2d(np.zeros(x, np.float32), np.zeros(w, np.float32), groups=groups)


def test_a_gradient_of_the_wrong_shape_is_refused() -> None:
    g, x = np.zeros((1, 2, 5, 5), np.float32), np.zeros((1, 3, 8, 8), np.float32)
    with pytest.raises(ShapeError, match=r"\(1, 2, 6, 6\)"):
        conv.conv2d_weight_grad(g, x, (2, 3, 3, 3))
    with pytest.raises(ShapeError, match=r"\(1, 2, 6, 6\)"):
        conv.conv2d_input_grad(g, np.zeros((2, 3, 3, 3), np.float32), x.shape)
