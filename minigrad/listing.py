"""What each op is: its formula, its gradient rule as formulas, where the rule stands, and the kernels that it calls.

All of it is read from the code of the op itself, so that it cannot say anything else than what runs. `python -m
minigrad ops` prints `listing()`; `explain` shows the rules.
"""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minigrad.graph import Op, registry

__all__ = ["OpRow", "formula", "gradient_formulas", "input_names", "kernels", "listing", "rule_place"]


@dataclass(frozen=True)
class OpRow:
    """One op of the registry.

    Attributes
    ----------
    name : str
    formula : the first line of the forward's docstring
    gradients : the rule, one formula for each input; empty without a derivative
    rule : where the rule stands, "minigrad/ops/arithmetic.py:49", or "" without a derivative
    kernels : the compiled loops that forward or rule call, "kernels.conv.convolve"; empty where numpy does it all
    twice : whether its gradient can be differentiated again
    """

    name: str
    formula: str
    gradients: tuple[str, ...]
    rule: str
    kernels: tuple[str, ...]
    twice: bool


def listing() -> list[OpRow]:
    """Every op of the registry by family and name: first by the file it stands in, then by its line there.

    Examples
    --------
    >>> import minigrad
    >>> row = next(row for row in listing() if row.name == "mul")
    >>> row.formula, row.gradients
    ('z = x y', ('g_x = g * y', 'g_y = g * x'))
    """
    ops = sorted(registry.values(), key=lambda op: _where(op.forward))
    return [
        OpRow(
            op.name, formula(op), gradient_formulas(op), rule_place(op), kernels(op), op.differentiable and not op.once
        )
        for op in ops
    ]


def formula(op: Op) -> str:
    """What the op computes: the first line of its docstring."""
    return (op.__doc__ or "").strip().split("\n")[0]


def rule_place(op: Op) -> str:
    """Where the gradient rule stands: file and line, or ""."""
    rule = op.rule
    if isinstance(rule, functools.partial):
        rule = rule.args[0].backward  # of an autograd.Function
    code = _code(inspect.unwrap(rule)) if rule is not None else None
    if code is None:
        return ""
    file, package = Path(code.co_filename), Path(__file__).parent
    shown = file.relative_to(package.parent).as_posix() if file.is_relative_to(package) else file.name
    return f"{shown}:{code.co_firstlineno}"


def gradient_formulas(op: Op) -> tuple[str, ...]:
    """The op's rule as formulas "g_x = g * y", in the names of the rule itself.

    A rule that branches or loops is shown by what it returns at its end, with names that are bound once filled in.
    """
    if op.rule is None:
        return ()
    definition = None if isinstance(op.rule, functools.partial) else _definition(op.rule)
    if definition is None:
        return ()
    bound = _bindings(definition)
    answer = _last_return(definition)
    inputs = [a.arg.lstrip("_") for a in (*definition.args.posonlyargs, *definition.args.args)[2:]]
    inputs = inputs[: op._most_inputs]  # after them come the options
    if definition.args.vararg is not None:
        inputs.append(definition.args.vararg.arg.lstrip("_"))
    if isinstance(answer, ast.Tuple):
        pairs = list(zip(inputs, answer.elts, strict=False))
    elif answer is not None:
        pairs = [(", g_".join(inputs), answer)]
    else:
        pairs = []
    written = [(name, _written(expression, bound)) for name, expression in pairs]
    return tuple(f"g_{name} = {text}" for name, text in written if text != "None")


def input_names(op: Op) -> list[str]:
    """What the op's forward calls its inputs; one name for any number of them where it takes a list."""
    parameters = inspect.signature(op.forward).parameters.values()
    if isinstance(op.rule, functools.partial):  # of an autograd.Function: forward(ctx, x, ...)
        return [p.name for p in parameters if p.name != "ctx"]
    return [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.VAR_POSITIONAL)]


def kernels(op: Op) -> tuple[str, ...]:
    """The compiled loops that the op reaches through functions of its own family, by their names."""
    found: dict[str, None] = {}
    visited: set[int] = set()
    waiting: list[Any] = [op.forward, op.rule]
    while waiting:
        function = waiting.pop()
        code = _code(function)
        if code is None or id(code) in visited:
            continue
        visited.add(id(code))
        for value in _mentioned(code, function.__globals__):
            module = getattr(value, "__module__", None) or ""
            if module.startswith("minigrad.kernels") and callable(value) and not isinstance(value, type):
                found[f"{module.removeprefix('minigrad.')}.{value.__name__}"] = None
            elif module == function.__module__ and isinstance(value, types.FunctionType):
                waiting.append(value)
    return tuple(sorted(found))


def _mentioned(code: types.CodeType, namespace: dict[str, Any]) -> Iterator[Any]:
    """The global objects that a function names, also inside of functions in it and as attributes of modules."""
    for name in code.co_names:
        value = namespace.get(name)
        if isinstance(value, types.ModuleType):
            if value.__name__.startswith("minigrad.kernels"):
                yield from (getattr(value, attribute, None) for attribute in code.co_names)
        else:
            yield value
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _mentioned(constant, namespace)


# ---- reading a rule's source -------------------------------------------------------------------------------------


def _code(function: Any) -> types.CodeType | None:
    return getattr(function, "__code__", None)


def _where(function: Callable) -> tuple[str, int]:
    code = _code(function)
    return ("", 0) if code is None else (code.co_filename, code.co_firstlineno)


def _definition(function: Callable) -> ast.FunctionDef | None:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return None  # typed into a prompt: there is no source to show
    return next((node for node in tree.body if isinstance(node, ast.FunctionDef)), None)


def _last_return(definition: ast.FunctionDef) -> ast.expr | None:
    """What the function returns at its end: the general case, after those that return early."""
    last = definition.body[-1]
    while isinstance(last, ast.If | ast.With):
        last = (last.orelse or last.body)[-1] if isinstance(last, ast.If) else last.body[-1]
    return last.value if isinstance(last, ast.Return) else None


def _bindings(definition: ast.FunctionDef) -> dict[str, ast.expr]:
    """The expression behind each local name that is bound exactly once, and behind each inner function."""
    bound: dict[str, list[ast.expr]] = {}
    for statement in definition.body:
        if isinstance(statement, ast.FunctionDef) and not statement.args.args:
            inner = _last_return(statement)
            if inner is not None:
                bound.setdefault(statement.name, []).append(inner)
    for node in ast.walk(definition):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            bound.setdefault(node.targets[0].id, []).append(node.value)
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            bound.setdefault(node.target.id, []).append(node.value)
    parameters = {a.arg for a in (*definition.args.posonlyargs, *definition.args.args, *definition.args.kwonlyargs)}
    return {name: values[0] for name, values in bound.items() if len(values) == 1 and name not in parameters}


class _Filled(ast.NodeTransformer):
    """Puts bound expressions in place of names, and takes the underscore off unread parameters."""

    def __init__(self, bound: dict[str, ast.expr], depth: int = 0) -> None:
        self.bound, self.depth = bound, depth

    def visit_Name(self, node: ast.Name) -> ast.expr:
        value = self.bound.get(node.id)
        if value is not None and self.depth < 3 and len(ast.unparse(value)) < 60:
            return _Filled(self.bound, self.depth + 1).visit(_copied(value))
        return ast.Name(node.id.lstrip("_") or node.id, node.ctx)

    def visit_Lambda(self, node: ast.Lambda) -> ast.expr:
        """A gradient that is computed when it is wanted is still that gradient."""
        return node if node.args.args else self.visit(node.body)


def _copied(expression: ast.expr) -> ast.expr:
    return ast.parse(ast.unparse(expression), mode="eval").body


def _written(expression: ast.expr, bound: dict[str, ast.expr]) -> str:
    """An element of what a rule returns, as text."""
    if isinstance(expression, ast.Name) and expression.id in bound:
        expression = bound[expression.id]
    return ast.unparse(_Filled(bound).visit(_copied(expression)))
