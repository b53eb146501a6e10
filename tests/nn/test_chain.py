"""From the second batch of a shape on a Sequential runs as one operation: the same bits, and nothing else changes."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest

import minigrad
from minigrad import nn, optim
from minigrad.errors import GraphError, MinigradError
from minigrad.kernels.jit import jit_disabled

if jit_disabled():
    pytest.skip("there are no chains without compiled kernels", allow_module_level=True)

from minigrad.kernels import network
from minigrad.kernels.program import Program


def cnn():
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(128, 10),
    )  # fmt: skip


def mlp():
    return nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))


# layers, and the shape of a batch
NETS = {
    "cnn": (cnn, (32, 1, 8, 8)),
    "mlp": (mlp, (32, 784)),
    "deep mlp": (
        lambda: nn.Sequential(
            nn.Linear(64, 100), nn.ReLU(), nn.Linear(100, 200, bias=False), nn.ReLU(), nn.ReLU(), nn.Linear(200, 64),
            nn.Linear(64, 9), nn.ReLU(),
        ),
        (50, 64),
    ),
    "large mlp": (lambda: nn.Sequential(nn.Linear(300, 500), nn.ReLU(), nn.Linear(500, 70)), (130, 300)),
    "convolutions": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 8, 3, bias=False), nn.ReLU(), nn.Conv2d(8, 20, 3, padding="same"), nn.Conv2d(20, 5, 1),
        ),
        (4, 3, 12, 11),
    ),
    "geometry": (
        lambda: nn.Sequential(
            nn.Conv2d(4, 8, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2), nn.ReLU(),
            nn.Conv2d(8, 12, 2, groups=4, bias=False), nn.ReLU(), nn.MaxPool2d((2, 1)),
        ),
        (3, 4, 20, 17),
    ),
    "wide": (
        lambda: nn.Sequential(
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(32 * 49, 64), nn.ReLU(), nn.Linear(64, 10),
        ),
        (16, 16, 14, 14),
    ),
    "flattened first": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 40), nn.ReLU(), nn.Linear(40, 40)),
                        (20, 1, 8, 8)),
}  # fmt: skip


def batch(shape, seed=0):
    x = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    x[0] = 0  # ties in the pooling
    return x


def one_pass(net, x, seed=1):
    """The name of the last operation; the result, the gradients of the input and of the parameters."""
    x = minigrad.from_numpy(x).requires_grad_()
    net.zero_grad()
    z = net(x)
    g = np.random.default_rng(seed).standard_normal(z.shape).astype(np.float32)
    name = z.node.name
    z.backward(minigrad.tensor(g))
    return name, [z.data.copy(), x.grad.data.copy(), *(p.grad.data.copy() for p in net.parameters())]


def assert_same(found, wanted):
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(a, b)


def chained(make=cnn, shape=(32, 1, 8, 8)):
    """A network that has seen one batch, that batch, and what its layers made of it."""
    minigrad.manual_seed(0)
    net, x = make(), batch(shape)
    return net, x, one_pass(net, x)[1]


@pytest.mark.parametrize("name", NETS)
def test_a_chain_gives_the_bits_of_its_layers(name):
    net, x, wanted = chained(*NETS[name])
    for _ in range(2):
        op, found = one_pass(net, x)
        assert op == "chain"
        assert_same(found, wanted)


@pytest.mark.parametrize("name", NETS)
def test_the_gradient_of_the_input_is_planned_when_it_is_first_asked_for(name):
    net, x, wanted = chained(*NETS[name])
    z = net(minigrad.from_numpy(x))
    planned = z.node.params["network"]
    z.sum().backward()
    assert planned._towards_input is None
    before = planned._local
    for _ in range(2):
        op, found = one_pass(net, x)
        assert op == "chain"
        assert_same(found, wanted)
        assert planned._towards_input is not None
        assert planned._local >= before
    net.zero_grad()
    net(minigrad.from_numpy(x)).sum().backward()  # and where nobody asks, it still is not computed
    assert all(p.grad is not None for p in net.parameters())


@pytest.mark.parametrize("name", NETS)
def test_the_surroundings_of_each_array_may_be_nan_and_stay_so(name, monkeypatch):
    net, x, wanted = chained(*NETS[name])
    guarded = []

    def surrounded(length):
        """New memory is NaN and lies between other memory that must not be touched."""
        memory = np.full(length + 128, np.nan, np.float32)
        guarded.append(memory)
        return memory[64 : 64 + length]

    monkeypatch.setattr(network, "empty_numbers", surrounded)
    op, found = one_pass(net, x)
    assert op == "chain"
    assert len(guarded) >= 3
    assert_same(found, wanted)
    for memory in guarded:
        assert np.isnan(memory[:64]).all()
        assert np.isnan(memory[-64:]).all()


def test_the_bits_do_not_depend_on_the_number_of_threads():
    net, x, wanted = chained(*NETS["wide"])
    threads = minigrad.get_num_threads()
    try:
        minigrad.set_num_threads(1)
        for _ in range(2):
            name, found = one_pass(net, x)
            assert_same(found, wanted)
        assert name == "chain"
    finally:
        minigrad.set_num_threads(threads)


def test_training_with_chains_ends_with_the_weights_of_training_without():
    ends = []
    for fused in (True, False):
        minigrad.manual_seed(3)
        net = mlp()
        optimizer = optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
        labels = minigrad.tensor(np.arange(32) % 10)
        for step in range(6):
            x = minigrad.from_numpy(batch((32, 784), step))
            with nn.no_fusion() if not fused else minigrad.enable_grad():
                loss = nn.functional.cross_entropy(net(x), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        ends.append([p.data.copy() for p in net.parameters()])
    assert_same(*ends)


# ---- gradients -------------------------------------------------------------------------------------------------------


def test_only_the_gradients_that_are_wanted_are_computed(monkeypatch):
    net, x, wanted = chained()
    ran = []
    run = Program.run

    def counted(self, first, last, *bases, **more):
        ran.append(last - first)
        run(self, first, last, *bases, **more)

    monkeypatch.setattr(Program, "run", counted)
    one_pass(net, x)
    every = sum(ran[1:])
    ran.clear()
    net.zero_grad()
    net[0].requires_grad_(False)
    z = net(minigrad.from_numpy(x))
    z.backward(minigrad.from_numpy(np.random.default_rng(1).standard_normal(z.shape).astype(np.float32)))
    assert net[0].weight.grad is None
    # The first layer's weights take two launches, as do its input and the gradient that only they needed.
    assert sum(ran[1:]) == every - 6
    assert_same([p.grad.data for p in net[3].parameters()], wanted[4:6])
    ran.clear()
    with minigrad.no_grad():
        net(minigrad.from_numpy(x))
    assert len(ran) == 1


def test_one_weight_alone_can_be_asked_for():
    net, x, wanted = chained(*NETS["deep mlp"])
    for i, p in enumerate(net.parameters()):
        z = net(minigrad.from_numpy(x))
        g = minigrad.from_numpy(np.random.default_rng(1).standard_normal(z.shape).astype(np.float32))
        (found,) = minigrad.autograd.grad(z, p, g)
        np.testing.assert_array_equal(found.data, wanted[2 + i])


def test_the_graph_can_be_used_again_only_if_it_was_kept():
    net, x, wanted = chained()
    z = net(minigrad.from_numpy(x))
    g = minigrad.from_numpy(np.random.default_rng(1).standard_normal(z.shape).astype(np.float32))
    first = minigrad.autograd.grad(z, list(net.parameters()), g, retain_graph=True)
    second = minigrad.autograd.grad(z, list(net.parameters()), g)
    assert_same([t.data for t in first], wanted[2:])
    assert_same([t.data for t in second], wanted[2:])
    with pytest.raises(GraphError, match="freed at chain"):
        z.backward(g)


def test_a_chain_can_be_differentiated_twice():
    net, x, _ = chained(*NETS["convolutions"])

    def second():
        inputs = minigrad.from_numpy(x).requires_grad_()
        z = net(inputs)
        (first,) = minigrad.autograd.grad((z**2).sum(), inputs, create_graph=True)
        return z.node.name, minigrad.autograd.grad((first**2).sum(), [inputs, net[0].weight])

    name, found = second()
    assert name == "chain"
    with nn.no_fusion():
        _, wanted = second()
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a.data, b.data, rtol=1e-4, atol=1e-4 * np.abs(b.data).max())


def test_a_gradient_of_another_layout_is_read_rightly():
    net, x, wanted = chained(*NETS["convolutions"])
    for turn in (lambda g: g, lambda g: np.asfortranarray(g), lambda g: np.repeat(g, 2, 3)[..., ::2]):
        inputs = minigrad.from_numpy(x).requires_grad_()
        net.zero_grad()
        z = net(inputs)
        g = turn(np.random.default_rng(1).standard_normal(z.shape).astype(np.float32))
        z.backward(minigrad.from_numpy(g))
        assert z.node.name == "chain"
        assert_same([inputs.grad.data, *(p.grad.data for p in net.parameters())], wanted[1:])


def test_a_weight_or_result_changed_in_place_before_backward_is_an_error():
    net, x, _ = chained()
    for change in (lambda z: net[3].weight, lambda z: z):
        z = net(minigrad.from_numpy(x))
        assert z.node.name == "chain"
        loss = z.sum()
        with minigrad.no_grad():
            change(z).mul_(2)
        with pytest.raises(GraphError, match=r"of chain, shape .* was changed in place"):
            loss.backward()


def test_weights_that_are_rebound_are_found():
    net, x, wanted = chained()
    one_pass(net, x)
    inputs = minigrad.from_numpy(x).requires_grad_()
    net.zero_grad()
    z = net(inputs)
    g = np.random.default_rng(1).standard_normal(z.shape).astype(np.float32)
    for p in net.parameters():
        p.data = p.data * 2  # between the passes: the graph still has the old ones
    z.backward(minigrad.from_numpy(g))
    assert_same([z.data, inputs.grad.data, *(p.grad.data for p in net.parameters())], wanted)
    name, doubled = one_pass(net, x)
    assert name == "chain"
    with nn.no_fusion():
        np.testing.assert_array_equal(doubled[0], one_pass(net, x)[1][0])
    net[-1].weight.data = np.asfortranarray(net[-1].weight.data)  # not what the network was planned for
    np.testing.assert_allclose(one_pass(net, x)[1][0], doubled[0], rtol=1e-5, atol=1e-5)


# ---- when there is none ----------------------------------------------------------------------------------------------


def test_whoever_looks_between_the_layers_sees_them():
    net, x, wanted = chained()
    assert one_pass(net, x)[0] == "chain"
    seen = []
    handle = net[3].register_forward_hook(lambda module, inputs, output: seen.append(output.shape))
    assert one_pass(net, x)[0] != "chain"
    assert seen == [(32, 32, 4, 4)]
    handle.remove()
    assert [one_pass(net, x)[0] for _ in range(2)] == ["linear", "chain"]
    with minigrad.debug():
        assert one_pass(net, x)[0] == "linear"
    with nn.no_fusion():
        assert one_pass(net, x)[0] == "linear"
    name, found = one_pass(net, x)
    assert name == "chain"
    assert_same(found, wanted)


def test_other_modules_may_come_and_go():
    net, x, _ = chained()
    one_pass(net, x)
    nn.CrossEntropyLoss()
    assert one_pass(net, x)[0] == "chain"


def test_a_change_of_the_layers_is_noticed():
    net, x, _ = chained()
    one_pass(net, x)
    net[0].stride = (2, 2)
    net[3].padding = (2, 2)
    net[7].bias = None
    net[5] = nn.MaxPool2d(3)
    net.append(nn.Tanh())
    net[7].weight = nn.Parameter(minigrad.randn(10, 32))
    for _ in range(3):
        assert_as_alone(net, x)
    del net[4:6]
    net[4] = nn.Flatten()
    net[-2] = nn.Linear(512, 10)
    for _ in range(3):
        assert_as_alone(net, x)


def assert_as_alone(net, x):
    found = net(minigrad.from_numpy(x))
    with nn.no_fusion():
        wanted = net(minigrad.from_numpy(x))
    np.testing.assert_array_equal(found.data, wanted.data)


def test_what_cannot_be_in_a_chain_is_called_between_chains():
    minigrad.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.Dropout(0.0),
        nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect"), nn.Flatten(), nn.Linear(128, 64), nn.ReLU(),
        nn.Linear(64, 10),
    )  # fmt: skip
    x = batch((8, 1, 8, 8))
    wanted = one_pass(net, x)[1]
    name, found = one_pass(net, x)
    assert name == "chain"
    assert_same(found, wanted)


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)), (5, 4)),
        (mlp, (2, 784)),
        (mlp, (8, 5, 784)),
        (mlp, (784,)),
        (lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3)), (1, 8, 8)),
        (cnn, (0, 1, 8, 8)),
        (lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(16), nn.Conv2d(4, 4, 1)), (4, 1, 40, 40)),
        (lambda: mlp().double(), (32, 784)),
    ],
)
def test_where_there_are_no_kernels_the_layers_run(make, shape):
    net = make()
    x = np.random.default_rng(0).standard_normal(shape).astype(net[0].weight.dtype)
    wanted = one_pass(net, x)[1]
    name, found = one_pass(net, x)
    assert name != "chain"
    assert_same(found, wanted)


def test_images_and_rows_of_other_layouts_give_the_same():
    net, x, wanted = chained()
    last = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    gaps = np.repeat(x, 2, 3)[..., ::2]
    fixed = x.copy()
    fixed.setflags(write=False)
    turned = np.ascontiguousarray(x[:, :, ::-1, ::-1])[:, :, ::-1, ::-1]
    crooked = np.frombuffer(b"x" + x.tobytes(), np.float32, offset=1).reshape(x.shape)
    for given in (last, gaps, fixed, turned, crooked, x):
        for _ in range(2):
            assert_same(one_pass(net, given)[1], wanted)


def test_errors_are_those_of_the_layers():
    net, x, _ = chained()
    one_pass(net, x)
    for bad in (x[:, :, :2], x[:, 0], np.zeros((32, 3, 8, 8), np.float32), x.astype(np.float64), x.astype(np.int32)):
        messages = []
        for _ in range(3):
            with pytest.raises(MinigradError) as error:
                net(minigrad.from_numpy(bad))
            messages.append(str(error.value))
        with nn.no_fusion(), pytest.raises(MinigradError) as error:
            net(minigrad.from_numpy(bad))
        assert set(messages) == {str(error.value)}
    assert one_pass(net, x)[0] == "chain"


# ---- one network, many users -----------------------------------------------------------------------------------------


def test_copies_find_out_for_themselves():
    net, x, wanted = chained()
    one_pass(net, x)
    for copied in (copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net)), lambda net: net[:]):
        other = copied(net)
        assert_same(one_pass(other, x)[1], wanted)
        with minigrad.no_grad():
            other[0].weight.mul_(1)
        assert_same(one_pass(other, x)[1], wanted)
    assert list(net.state_dict()) == list(copy.deepcopy(net).state_dict())


def test_python_threads_may_share_a_network():
    net, x, _ = chained()
    batches = [batch(x.shape, seed) for seed in range(4)]
    one_pass(net, x)
    with minigrad.no_grad():
        wanted = [net(minigrad.from_numpy(b)).data.copy() for b in batches]
    wrong = []

    def work(b, z):
        with minigrad.no_grad():
            for _ in range(50):
                if not np.array_equal(net(minigrad.from_numpy(b)).data, z):
                    wrong.append(1)

    threads = [threading.Thread(target=work, args=pair) for pair in zip(batches, wanted, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_many_shapes_do_not_pile_up():
    net = mlp()
    for n in range(4, 60):
        for _ in range(2):
            assert net(minigrad.from_numpy(batch((n, 784)))).shape == (n, 10)
    assert len(net.__dict__["_runner"][1]._steps[0]._networks._networks) <= 16


def test_a_result_that_is_kept_does_not_keep_the_rest():
    net, x, _ = chained()
    z = net(minigrad.from_numpy(x)).detach()
    assert z.data.base.nbytes == z.data.nbytes


@pytest.mark.slow
def test_without_compiled_kernels_there_are_no_chains():
    code = (
        "import minigrad; from minigrad import nn\n"
        "net = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 4))\n"
        "print([net(minigrad.ones(32, 64)).node.name for _ in range(3)])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "NUMBA_DISABLE_JIT": "1"}, capture_output=True, text=True
    )
    assert done.stdout.strip() == "['linear', 'linear', 'linear']", done.stderr


@pytest.mark.parametrize("name", NETS)
def test_where_weight_gradients_are_computed_does_not_change_the_bits(name, monkeypatch):
    make, shape = NETS[name]
    x = minigrad.from_numpy(np.random.default_rng(0).standard_normal(shape, np.float32))
    found = []
    for most in (-1, network._MOST_ON_THE_WAY, 1 << 60):  # all on demand, the small ones on the way back, all of them
        monkeypatch.setattr(network, "_MOST_ON_THE_WAY", most)
        minigrad.manual_seed(0)
        net = make()
        for _ in range(2):
            net.zero_grad()
            y = net(x)
            y.square().mean().backward()
        assert y.node.name == "chain"
        found.append([p.grad.numpy().tobytes() for p in net.parameters()])
        # One weight alone: the others are not asked for.
        last = list(net.parameters())[-1]
        assert minigrad.autograd.grad(net(x).square().mean(), last)[0].numpy().tobytes() == found[-1][-1]
    assert found[0] == found[1] == found[2]


_LARGE_ENOUGH_FOR_THREADS = """
import numpy as np
import minigrad
from minigrad import nn
minigrad.manual_seed(0)
net = nn.Sequential(nn.Linear(300, 500), nn.ReLU(), nn.Linear(500, 70))
x = minigrad.from_numpy(np.random.default_rng(0).standard_normal((130, 300), np.float32))
for _ in range(3):
    net.zero_grad()
    net(x).square().mean().backward()
print(net(x).node.name, net[0].weight.grad.numpy().sum())
"""


def test_a_process_that_finds_its_kernels_in_the_cache_does_what_the_one_before_did(tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", _LARGE_ENOUGH_FOR_THREADS]
    first, second = (
        subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300) for _ in range(2)
    )
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "compiling kernels" in first.stderr
    assert "compiling kernels" not in second.stderr
    assert first.stdout.startswith("chain")
    assert second.stdout == first.stdout
