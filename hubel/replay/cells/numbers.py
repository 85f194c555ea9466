"""Cells of operations without a window: one number in, a row of products, a normalisation, a softmax, a loss."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from hubel.definitions.attention import scaled_dot_product_attention
from hubel.definitions.reducing import axes_of
from hubel.definitions.windows import Array
from hubel.replay.cells.record import Asked, Cell, Step, bracketed, digits

# One number in: the letters of the formula, and the same with the number set in, {b} for one in brackets where it is
# negative; where the function has two branches, first that above 0.
ALONE: dict[str, tuple[str, ...]] = {
    "relu": ("y = max(x, 0)", "max({x}, 0)"),
    "relu6": ("y = min(max(x, 0), 6)", "min(max({x}, 0), 6)"),
    "leaky_relu": ("y = x where x > 0, else slope x", "{x} (above 0)", "{slope} * {b}"),
    "sigmoid": ("y = 1 / (1 + e^-x)", "1 / (1 + e^-{b})"),
    "tanh": ("y = (e^x - e^-x) / (e^x + e^-x)", "tanh({x})"),
    "scaled_tanh": ("y = 1.7159 tanh(2x/3)", "1.7159 * tanh(2 * {x} / 3)"),
    "gelu": ("y = x Phi(x)", "{x} * Phi({x})"),
    "gelu_tanh": (
        "y = x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2",
        "{x} * (1 + tanh(0.797885 * ({x} + 0.044715 * {x}^3))) / 2",
    ),
    "silu": ("y = x sigmoid(x)", "{x} / (1 + e^-{b})"),
    "elu": ("y = x where x > 0, else alpha (e^x - 1)", "{x} (above 0)", "{alpha} * (e^{b} - 1)"),
    "softplus": ("y = ln(1 + e^(beta x)) / beta", "ln(1 + e^({beta} * {b})) / {beta}"),
    "mish": ("y = x tanh(log(1 + e^x))", "{x} * tanh(log(1 + e^{b}))"),
    "hardsigmoid": ("y = min(max(x + 3, 0), 6) / 6", "min(max({x} + 3, 0), 6) / 6"),
    "hardswish": ("y = x min(max(x + 3, 0), 6) / 6", "{x} * min(max({x} + 3, 0), 6) / 6"),
    "exp": ("y = e^a", "e^{b}"),
    "log": ("y = ln a", "ln {x}"),
    "sqrt": ("y = sqrt(a)", "sqrt({x})"),
    "absolute": ("y = |a|", "|{x}|"),
    "power": ("y = a^exponent", "{b}^{exponent}"),
    "clip": ("y = min(max(a, low), high)", ""),
}
# Two numbers in, either of which may be broadcast.
TWO: dict[str, tuple[str, str]] = {
    "add": ("y = a + b", "{a} + {b}"),
    "subtract": ("y = a - b", "{a} - {b}"),
    "multiply": ("y = a b", "{a} * {b}"),
    "divide": ("y = a / b", "{a} / {b}"),
    "maximum": ("y = max(a, b)", "max({a}, {b})"),
    "minimum": ("y = min(a, b)", "min({a}, {b})"),
}


def alone(asked: Asked) -> Cell:
    """An activation, or another function of one number."""
    operation = asked.node.operation
    assert operation is not None
    first, *settings = asked.given
    x = float(asked.array(first, asked.index))
    letters, *texts = ALONE[operation.__name__]
    chosen = {name: asked[name] for name in settings}
    shown = {name: digits(float(v)) for name, v in chosen.items() if isinstance(v, int | float)}
    y = float(operation(np.array([x]), **chosen)[0])
    number, text = digits(x), texts[0 if x > 0 else -1]
    if operation.__name__ == "clip":  # either limit may be missing
        text = _clipped(number, chosen["low"], chosen["high"])
    step = Step("y", text.format(x=number, b=bracketed(x), **shown), y)
    return asked.cell(
        y, letters, inputs=np.array([x]), steps=(step,), reads=(asked.read(_here(asked.index)),)
    )


def _clipped(x: str, low: float | None, high: float | None) -> str:
    """With the limits that there are."""
    text = x if low is None else f"max({x}, {digits(low)})"
    return text if high is None else f"min({text}, {digits(high)})"


def two(asked: Asked) -> Cell:
    """A sum, a product … of two numbers."""
    operation = asked.node.operation
    assert operation is not None
    letters, text = TWO[operation.__name__]
    places = [_before_broadcast(asked.index, np.shape(asked[side])) for side in "ab"]
    a, b = (float(asked.array(side, place)) for side, place in zip("ab", places, strict=True))
    y = float(operation(np.array(a), np.array(b)))
    step = Step("y", text.format(a=digits(a), b=bracketed(b)), y)
    reads = tuple(asked.read(_here(place), side) for side, place in enumerate(places))
    return asked.cell(y, letters, inputs=np.array([a, b]), steps=(step,), reads=reads)


def chosen(asked: Asked) -> Cell:
    """where: the number of one side, as the mask says."""
    mask, a, b = (
        asked.array(side, _before_broadcast(asked.index, np.shape(asked[side])))
        for side in ("mask", "a", "b")
    )
    y, said = (float(a), "true") if mask else (float(b), "false")
    reads = tuple(
        asked.read(_here(_before_broadcast(asked.index, np.shape(asked[side]))), place)
        for place, side in enumerate(("mask", "a", "b"))
        if side == "mask" or side == ("a" if mask else "b")
    )
    step = Step("y", f"{digits(y)} (the mask is {said})", y)
    return asked.cell(
        y, "y = a where the mask is true, else b", inputs=np.array([y]), steps=(step,), reads=reads
    )


def dropout(asked: Asked) -> Cell:
    x, mask, p = float(asked.array("x", asked.index)), float(asked.array("mask", asked.index)), asked["p"]
    y = x * mask / (1 - p)
    step = Step("y", f"{digits(x)} * {digits(mask)} / (1 - {digits(p)})", y)
    return asked.cell(
        y,
        "y = x mask / (1 - p)",
        inputs=np.array([x]),
        steps=(step,),
        reads=(asked.read(_here(asked.index)),),
    )


def linear(asked: Asked) -> Cell:
    """A row of the weights times the inputs."""
    *item, o = asked.index
    x, w = asked.array("x", tuple(item)), asked.array("w", o)  # (D,) both
    b = None if asked["b"] is None else float(asked["b"][o])
    products = w * x
    return asked.cell(
        products.sum() + (b or 0.0), "y[n,o] = b[o] + sum_d x[n,d] w[o,d]", inputs=x, weights=w, products=products,
        term="{w}*{x}", bias=b, reads=(asked.read(_row(item, len(x))),),
    )  # fmt: skip


def matmul(asked: Asked) -> Cell:
    """A row of a times a column of b; a vector is the one row, or the one column."""
    a, b = asked.array("a"), asked.array("b")
    item = list(asked.index)
    j = item.pop() if b.ndim > 1 else None
    i = item.pop() if a.ndim > 1 else None
    row = (*_before_broadcast(tuple(item), a.shape[:-2]), *(() if i is None else (i,)))
    columns = _before_broadcast(tuple(item), b.shape[:-2])
    x = a[row]
    cells = np.array([(*columns, d, *(() if j is None else (j,))) for d in range(len(x))], int).reshape(
        len(x), b.ndim
    )
    w = b[tuple(cells.T)]
    return asked.cell(
        (x * w).sum(), "y[...,i,j] = sum_d a[...,i,d] b[...,d,j]", inputs=x, weights=w, products=x * w,
        term="{x}*{w}", reads=(asked.read(_row(row, len(x))), asked.read(cells, 1)),
    )  # fmt: skip


def prelu(asked: Asked) -> Cell:
    """leaky_relu with the slope of the channel."""
    x, slopes = float(asked.array("x", asked.index)), asked.array("slope")
    c = asked.index[1] if len(slopes) > 1 else 0
    slope = float(slopes[c])
    y = x if x > 0 else slope * x
    text = f"{digits(x)} (above 0)" if x > 0 else f"{digits(slope)} * {bracketed(x)}"
    reads = (
        (asked.read(_here(asked.index)),)
        if x > 0
        else (asked.read(_here(asked.index)), asked.read(_here((c,)), 1))
    )
    return asked.cell(
        y,
        "y = x where x > 0, else slope[c] x",
        inputs=np.array([x]),
        steps=(Step("y", text, y),),
        reads=reads,
    )


def reduction(asked: Asked) -> Cell:
    """total and mean: every number along the axes that are gone."""
    a = asked.array("a")
    over = axes_of("cell", a, asked["axes"])
    kept = [axis for axis in range(a.ndim) if axis not in over]
    place = [asked.index[axis] for axis in kept] if asked["keepdims"] else list(asked.index)
    key: list[int | slice] = [slice(None)] * a.ndim
    for axis, i in zip(kept, place, strict=True):
        key[axis] = i
    cells = _cells_of(a, tuple(key))
    inputs = a[tuple(cells.T)]
    total, n = float(inputs.sum()), len(inputs)
    found: dict[str, Any] = {
        "inputs": inputs,
        "products": inputs,
        "term": "{x}",
        "reads": (asked.read(cells),),
    }
    if asked.node.operation.__name__ == "total":  # type: ignore[union-attr]
        return asked.cell(total, "y = sum_j a[j]", **found)
    step = Step("y", f"{digits(total)} / {n}", total / n)
    return asked.cell(total / n, "y = sum_j a[j] / n", steps=(step,), **found)


def attention(asked: Asked) -> Cell:
    """The shares that a query gives to the keys, times a column of the values."""
    *item, i, d = asked.index
    q, k, v = (asked.array(name, tuple(item)) for name in "qkv")  # (L, E), (S, E), (S, D)
    allowed = asked["mask"]
    if allowed is not None:
        allowed = np.broadcast_to(allowed, (*np.shape(asked["q"])[:-1], len(k)))[tuple(item)]
    # Of values that are 1 at one key alone attention makes that key's share.
    p = scaled_dot_product_attention(q, k, np.eye(len(k)), allowed)[i]
    keys = np.array([(*item, s, e) for s in range(len(k)) for e in range(k.shape[1])], int)
    values = np.array([(*item, s, d) for s in range(len(v))], int)
    masked = (
        "" if allowed is None else " + mask[i,s]" if allowed.dtype.kind == "f" else " where the mask allows s"
    )
    formula = "y[i,d] = sum_s p[i,s] v[s,d],  p = softmax over s of (q[i] . k[s]) / sqrt(E)" + masked
    return asked.cell(
        (p * v[:, d]).sum(), formula,
        inputs=v[:, d], weights=p, products=p * v[:, d], term="{w}*{x}",
        reads=(asked.read(_row((*item, i), q.shape[1])), asked.read(keys, 1), asked.read(values, 2)),
    )  # fmt: skip


def rbf(asked: Asked) -> Cell:
    """Minus the squared distance from a code."""
    n, k = asked.index
    x, code = asked.array("x", n), asked.array("codes", k)
    apart = -np.square(x - code)
    return asked.cell(
        apart.sum(), "y[n,k] = - sum_d (x[n,d] - codes[k,d])^2", inputs=x, weights=code, products=apart,
        term="-({x} - {w})^2", reads=(asked.read(_row((n,), len(x))),),
    )  # fmt: skip


def softmax(asked: Asked) -> Cell:
    """softmax and log_softmax: the largest x is taken off first, lest e^x overflow."""
    x, axis = asked.array("x"), asked["axis"] % np.ndim(asked["x"])
    row = np.moveaxis(x, axis, -1)[asked.index[:axis] + asked.index[axis + 1 :]]
    k = asked.index[axis]
    top = float(row.max())
    e = np.exp(row - top)
    total, mine = float(e.sum()), float(e[k])
    cells = np.array([(*asked.index[:axis], i, *asked.index[axis + 1 :]) for i in range(len(row))])
    steps = [Step("sum", f"sum_j e^(x_j - {bracketed(top)})", total)]
    if asked.node.operation.__name__ == "softmax":  # type: ignore[union-attr]
        steps.insert(0, Step("e", f"e^({digits(row[k])} - {bracketed(top)})", mine))
        y, formula = mine / total, "y_k = e^x_k / sum_j e^x_j"
        steps.append(Step("y", f"{digits(mine)} / {digits(total)}", y))
    else:
        y, formula = float(row[k]) - top - math.log(total), "y_k = x_k - log sum_j e^x_j"
        steps.append(Step("y", f"{digits(row[k])} - {bracketed(top)} - log {digits(total)}", y))
    return asked.cell(y, formula, inputs=row, steps=tuple(steps), reads=(asked.read(cells),))


# Over which cells of x, as a key, the mean and the variance are taken.
OVER: dict[str, Callable[[Asked], tuple[int | slice, ...]]] = {
    "batch_norm": lambda a: (slice(None), a.index[1]),
    "instance_norm": lambda a: a.index[:2],
    "layer_norm": lambda a: a.index[: len(a.index) - a["axes"]],
    "group_norm": lambda a: (a.index[0], _group_of(a)),
}


def normalisation(asked: Asked) -> Cell:
    """batch, instance, group and layer norm: mean and variance over some cells, then scale and shift."""
    name = asked.node.operation.__name__  # type: ignore[union-attr]
    x, key = asked.array("x"), OVER[name](asked)
    over = x[key]
    place = asked.index[len(asked.index) - asked["axes"] :] if name == "layer_norm" else asked.index[1]
    cells = _cells_of(x, key)
    counted = (
        Step("mean", f"mean of {over.size} numbers", float(over.mean())),
        Step(
            "variance",
            f"mean of (x - {bracketed(over.mean())})^2",
            float(over.var()),
        ),
    )
    return _standardised(asked, float(over.mean()), float(over.var()), place, counted, cells)


def _group_of(asked: Asked) -> slice:
    """The channels that are one group with that of the cell."""
    each = np.shape(asked["x"])[1] // asked["groups"]
    first = asked.index[1] // each * each
    return slice(first, first + each)


def rms_normalisation(asked: Asked) -> Cell:
    """rms_norm: the mean of the squares, and no mean is taken off."""
    x = asked.array("x")
    ahead = len(asked.index) - asked["axes"]
    over, place = x[asked.index[:ahead]], asked.index[ahead:]
    eps = float(np.finfo(np.asarray(asked["x"]).dtype).eps) if asked["eps"] is None else asked["eps"]
    gamma = 1.0 if asked["gamma"] is None else float(asked["gamma"][place])
    own, square = float(x[asked.index]), float(np.square(over).mean())
    root = math.sqrt(square + eps)
    y = gamma * (own / root)
    steps = (
        Step("square", f"mean of x^2 of {over.size} numbers", square),
        Step("root", f"sqrt({digits(square)} + {digits(eps)})", root),
        Step("x^", f"{digits(own)} / {digits(root)}", own / root),
        Step("y", f"{digits(gamma)} * {bracketed(own / root)}", y),
    )
    reads = (asked.read(_cells_of(x, asked.index[:ahead])),)
    return asked.cell(
        y, "y = gamma x / sqrt(mean x^2 + eps)", inputs=np.array([own]), steps=steps, reads=reads
    )


def remembered_normalisation(asked: Asked) -> Cell:
    """batch_norm_inference: mean and variance as training left them."""
    c = asked.index[1]
    mean, variance = float(asked.array("mean", c)), float(asked.array("variance", c))
    known = (
        Step("mean", f"mean[{c}], remembered", mean),
        Step("variance", f"variance[{c}], remembered", variance),
    )
    return _standardised(asked, mean, variance, c, known, _here(asked.index))


def _standardised(
    asked: Asked,
    mean: float,
    variance: float,
    place: int | tuple[int, ...],
    before: tuple[Step, ...],
    cells: Array,
) -> Cell:
    x, eps = float(asked.array("x", asked.index)), asked["eps"]
    gamma = 1.0 if asked["gamma"] is None else float(asked["gamma"][place])
    beta = 0.0 if asked["beta"] is None else float(asked["beta"][place])
    root = math.sqrt(variance + eps)
    even = (x - mean) / root
    y = gamma * even + beta
    steps = (
        *before,
        Step("root", f"sqrt({digits(variance)} + {digits(eps)})", root),
        Step("x^", f"({digits(x)} - {bracketed(mean)}) / {digits(root)}", even),
        Step("y", f"{digits(gamma)} * {bracketed(even)} + {bracketed(beta)}", y),
    )
    formula = "y = gamma (x - mean) / sqrt(variance + eps) + beta"
    return asked.cell(y, formula, inputs=np.array([x]), steps=steps, reads=(asked.read(cells),))


def local_response(asked: Asked) -> Cell:
    """Divided by what the neighbouring channels answer at the same place."""
    x, (n, c, *place) = asked.array("x"), asked.index
    size, alpha, beta, k = (asked[name] for name in ("size", "alpha", "beta", "k"))
    low, high = max(0, c - size // 2), min(x.shape[1], c + (size - 1) // 2 + 1)
    near = np.moveaxis(x, 1, -1)[(n, *place)][low:high]
    squares, own = float(np.square(near).sum()), float(x[asked.index])
    d = k + alpha / size * squares
    steps = (
        Step("squares", f"sum of x^2 over channels {low} to {high - 1}", squares),
        Step("d", f"{digits(k)} + {digits(alpha)} / {size} * {digits(squares)}", d),
        Step("y", f"{digits(own)} / {digits(d)}^{digits(beta)}", own * d**-beta),
    )
    cells = np.array([(n, i, *place) for i in range(low, high)])
    formula = "y[n,c] = x[n,c] / d^beta,  d = k + (alpha / size) sum_{c'} x[n,c']^2"
    return asked.cell(own * d**-beta, formula, inputs=near, steps=steps, reads=(asked.read(cells),))


def mean_squared_error(asked: Asked) -> Cell:
    y, t = asked.array("y"), asked.array("t")
    return _loss(asked, y, t, np.square(y - t), y.size, "L = mean (y - t)^2", "({x} - {w})^2")


def cross_entropy(asked: Asked) -> Cell:
    """Of probabilities, clipped from below, or of logits, whose softmax is taken first."""
    t = asked.array("t")
    if "q" in asked.given:
        q = np.maximum(asked.array("q"), asked["clip"])
        return _loss(
            asked, q, t, -t * np.log(q), len(t), "L = - mean_n sum_k t[n,k] ln q[n,k]", "-{w}*ln {x}"
        )
    z = asked.array("z")
    top = z.max(1, keepdims=True)
    logq = z - top - np.log(np.exp(z - top).sum(1, keepdims=True))
    formula = "L = - mean_n sum_k t[n,k] log_softmax(z)[n,k]"
    return _loss(asked, logq, t, -t * logq, len(t), formula, "-{w}*{x}")


def binary_cross_entropy(asked: Asked) -> Cell:
    t = asked.array("t")
    if "q" in asked.given:
        q, clip = asked.array("q"), asked["clip"]
        each = -(t * np.log(np.maximum(q, clip)) + (1 - t) * np.log(np.maximum(1 - q, clip)))
        formula = "L = - mean (t ln q + (1 - t) ln(1 - q))"
        return _loss(asked, q, t, each, t.size, formula, "-({w}*ln {x} + (1 - {w})*ln(1 - {x}))")
    z = asked.array("z")
    each = np.maximum(z, 0) - z * t + np.log1p(np.exp(-np.abs(z)))
    formula = "L = mean (max(z, 0) - z t + ln(1 + e^-|z|))"
    return _loss(asked, z, t, each, t.size, formula, "(max({x}, 0) - {x}*{w} + ln(1 + e^-|{x}|))")


def _loss(asked: Asked, x: Array, t: Array, each: Array, counted: int, formula: str, term: str) -> Cell:
    total = float(each.sum())
    step = Step("L", f"{digits(total)} / {counted}", total / counted)
    cells = np.stack(np.unravel_index(np.arange(x.size), x.shape), -1)
    return asked.cell(
        total / counted,
        formula,
        inputs=x,
        weights=t,
        products=each,
        term=term,
        steps=(step,),
        reads=(asked.read(cells),),
    )


def _cells_of(x: Array, key: tuple[int | slice, ...]) -> Array:
    """Where the numbers of x[key] stand in x, in order: (K, axes)."""
    numbered = np.arange(x.size).reshape(x.shape)[key].ravel()
    return np.stack(np.unravel_index(numbered, x.shape), -1).reshape(len(numbered), x.ndim)


def _here(index: tuple[int, ...]) -> Array:
    return np.array([index], int).reshape(1, len(index))


def _row(item: tuple[int, ...] | list[int], length: int) -> Array:
    """The cells (item, 0) to (item, length - 1)."""
    return np.array([(*item, d) for d in range(length)], int).reshape(length, len(item) + 1)


def _before_broadcast(index: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """Where the number stands in an array of `shape` that was broadcast to where `index` points."""
    last = index[len(index) - len(shape) :]
    return tuple(0 if size == 1 else i for i, size in zip(last, shape, strict=True))
