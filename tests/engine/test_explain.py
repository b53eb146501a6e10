"""minigrad.explain, the trace under it, and the list of ops: they say what the engine does."""

from __future__ import annotations

import re

import numpy as np
import pytest

import minigrad
from minigrad import autograd, nn
from minigrad.debug import debug
from minigrad.errors import ArgumentError, DTypeError, GraphError
from minigrad.explain import explain
from minigrad.graph import op, registry
from minigrad.kernels.jit import jit_disabled
from minigrad.listing import formula, gradient_formulas, kernels, listing, rule_place
from minigrad.tracing import trace

A = np.random.default_rng(5).standard_normal((3, 4))


@pytest.fixture
def graph():
    w, x = minigrad.tensor(A, requires_grad=True), minigrad.tensor(A[0], requires_grad=True)
    h = w * x
    loss = (h.exp() + h).sum()
    return loss, h, w, x


def test_the_trace_has_the_norms_that_backward_computes(graph):
    loss, h, w, x = graph
    seen = trace(loss)
    assert [step.node.name for step in seen.steps] == ["sum", "add", "exp", "mul"]
    leaves = {id(leaf): norm for leaf, norm in seen.leaves}
    h.retain_grad()
    loss.backward()
    assert seen.steps[-1].norm == pytest.approx(np.linalg.norm(h.grad.data))
    assert leaves == {
        id(w): pytest.approx(np.linalg.norm(w.grad.data)),
        id(x): pytest.approx(np.linalg.norm(x.grad.data)),
    }
    # what the rule of mul gave x, before it was summed over the broadcast rows
    assert seen.steps[-1].input_norms[1] == pytest.approx(np.linalg.norm(h.grad.data * A))


def test_tracing_writes_no_grad_and_keeps_the_graph(graph):
    loss, h, w, x = graph
    h.retain_grad()
    trace(loss)
    explain(loss)
    assert (h.grad, w.grad, x.grad) == (None, None, None)
    loss.backward()
    assert w.grad is not None


def test_every_node_has_its_op_formula_norm_rule_and_targets(graph):
    loss, _, w, x = graph
    text = explain(loss, names={"w": w, "x": x})
    blocks = text.split("\n\n")
    assert blocks[0] == "Backward from sum: 4 nodes, 2 leaves."
    mul = blocks[4]
    assert re.match(r" 4  mul  float64 \(3, 4\) +z = x y", mul)
    assert "arrives  |g| = " in mul
    assert re.search(r"rule     g_x = g \* y +minigrad/ops/arithmetic\.py:\d+", mul)
    assert "g_y = g * x" in mul
    assert "to leaf w" in mul
    assert "to leaf x" in mul
    assert "to 4 mul" in blocks[3]
    assert blocks[5].startswith("Leaves\n    ")
    assert all(len(line) <= 120 for line in text.splitlines())


def test_lines_recorded_in_debug_mode_are_shown():
    w = minigrad.tensor(2.0, requires_grad=True)
    with debug():
        loss = w * w
    assert "made at  " in explain(loss)
    assert "test_explain.py:" in explain(loss)
    assert "loss = w * w" in explain(loss)
    assert "made at" not in explain(w * w)


def test_long_graphs_are_cut_with_a_note():
    w = minigrad.tensor(2.0, requires_grad=True)
    y = w
    for _ in range(30):
        y = y * 1.0
    text = explain(y, max_nodes=5)
    assert text.count("arrives") == 5
    assert "25 more nodes" in text
    assert "leaf  ()" in text


def test_an_upstream_gradient_is_taken_for_what_is_no_scalar(graph):
    _, h, _, _ = graph
    assert "|g| = 3.464" in explain(h, minigrad.ones(3, 4))  # sqrt(12)
    with pytest.raises(GraphError, match="scalar"):
        explain(h)


def test_a_leaf_explains_itself():
    assert "0 nodes, 1 leaf" in explain(minigrad.tensor(2.0, requires_grad=True))


def test_the_prompt_shows_line_breaks(graph):
    assert repr(explain(graph[0])) == str(explain(graph[0]))


def test_functions_of_ones_own_are_explained():
    class Double(autograd.Function):
        """z = 2 x"""

        @staticmethod
        def forward(ctx, x):
            return x * 2.0

        @staticmethod
        def backward(ctx, g):
            return g * 2.0

    text = explain(Double.apply(minigrad.tensor(2.0, requires_grad=True)))
    assert re.search(r" 1  Double  \(\) +z = 2 x", text)
    assert "test_explain.py:" in text
    assert "x: |g| = 2" in text


def test_what_cannot_be_explained_says_why(graph):
    with pytest.raises(DTypeError, match="Tensor"):
        explain(3.0)
    with pytest.raises(GraphError, match="does not require a gradient"):
        explain(minigrad.ones(2))
    with pytest.raises(ArgumentError, match="max_nodes"):
        explain(graph[0], max_nodes=0)
    graph[0].backward()
    with pytest.raises(GraphError, match="freed"):
        explain(graph[0])


# ---- what ops say of themselves ----------------------------------------------------------------------------------


def test_every_op_of_the_library_has_a_formula_and_every_rule_a_place():
    rows = [row for row in listing() if registry[row.name].forward.__module__.startswith("minigrad.")]
    assert len(rows) >= 30
    for row in rows:
        assert row.formula, row.name
        if registry[row.name].differentiable and registry[row.name].rule is not None:
            assert re.fullmatch(r"minigrad/[a-z0-9_/]+\.py:\d+", row.rule), row.name
            assert row.gradients, row.name
    assert len({row.name for row in rows}) == len(rows)


def test_rules_are_written_out_as_formulas():
    expected = {
        "mul": ("g_x = g * y", "g_y = g * x"),
        "exp": ("g_x = g * z",),
        "div": ("g_x = g / y", "g_y = -g * z / y"),
        "where": ("g_x = where(condition, g, 0.0)", "g_y = where(condition, 0.0, g)"),
    }
    for name, formulas in expected.items():
        assert gradient_formulas(registry[name]) == formulas
    assert gradient_formulas(registry["gt"]) == ()


def test_names_bound_inside_a_rule_are_filled_in():
    @op
    def bent(x, y, /, slope=1.0):
        """z = slope x + y^2"""
        return slope * x + y * y

    @bent.vjp
    def bent(g, _z, _x, y, slope=1.0):
        twice = 2 * y

        def through_y():
            return g * twice

        return (lambda: g * slope), through_y

    del registry["bent"]
    assert formula(bent) == "z = slope x + y^2"
    assert gradient_formulas(bent) == ("g_x = g * slope", "g_y = g * (2 * y)")
    assert rule_place(bent).startswith("test_explain.py:")


def test_the_kernels_of_an_op_are_found_through_module_and_function():
    found = {row.name: row.kernels for row in listing() if row.kernels}
    assert "kernels.conv.conv2d" in found["conv2d"]
    assert kernels(registry["add"]) == ()


def test_layers_that_run_as_one_are_named():
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 8))
    x = minigrad.randn(16, 64)
    texts = [explain(model(x).sum(), names=dict(model.named_parameters())) for _ in range(2)]
    if not jit_disabled():
        assert "as one   linear_relu, linear; nn.no_fusion() shows every layer" in texts[1]
    assert "linear_relu  (16, 32)" in texts[0]
    norms = [sorted(re.findall(r"leaf .*", text)) for text in texts]
    assert norms[0] == norms[1]
    assert len(norms[0]) == 4
