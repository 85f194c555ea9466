"""Computational graphs: the lectures' apples and oranges, derivatives against differences, and a reader that only reads."""

from __future__ import annotations

import math
import random

import pytest

from hubel.cli.walk.expression import read
from hubel.errors import InputError


def derivatives(said) -> dict[str, float]:
    return {n["name"]: n["derivative"] for n in said.json["nodes"]}


@pytest.mark.parametrize(
    "typed",
    ["apple=10*count=2*tax=1.1", "apple * count * tax", "apple=10; count=2; tax=1.1; apple*count*tax"],
)
def test_two_apples_with_tax(cli, typed):
    let = ["--let", "apple=10", "--let", "count=2", "--let", "tax=1.1"] if "=" not in typed else []
    said = cli("walk", "graph", typed, *let, "--json")
    assert said.json["result"] == pytest.approx(22)
    found = derivatives(said)
    # d(paid)/d(apple) = 2 * 1.1, /d(count) = 10 * 1.1, /d(tax) = 2 * 10
    assert [found["apple"], found["count"], found["tax"]] == pytest.approx([2.2, 11, 20])


def test_and_three_oranges(cli):
    said = cli("walk", "graph", "(apple=10*2 + orange=15*3) * tax=1.1", "--json")
    assert said.json["result"] == pytest.approx(71.5)  # (20 + 45) 1.1
    assert derivatives(said)["orange"] == pytest.approx(3.3) and derivatives(said)["tax"] == pytest.approx(65)


def test_z_is_t_squared_and_t_is_x_plus_y(cli):
    found = derivatives(cli("walk", "graph", "x=1; y=2; t=x+y; z=t**2", "--json"))
    assert found == {"x": 6, "y": 6, "t": 6, "z": 1}  # dz/dt = 2t = 6, dt/dx = 1


def test_the_drawing_and_the_table(cli):
    said = cli("walk", "graph", "apple=10*count=2*tax=1.1")
    assert said.err == "" and said.out.startswith("""\
apple*count*tax = 22

apple 10 ─┐
     2.2  ├─ * 20 ─┐
count 2 ──┘   1.1  ├─ * 22
     11            │     1
tax 1.1 ───────────┘
     20

Above: values.""")
    assert " apple                10          2.2   1.1 * 2 " in said.out


def test_a_number_that_is_used_twice_has_the_sum_of_both_ways(cli):
    said = cli("walk", "graph", "x=3; t=x*2; t*x")
    assert " x         3           12   6 * 1 " not in said.out
    # 2x^2: 4x = 12, by t: 3 * 2, by itself: 1 * 6
    row = next(line.split() for line in said.out.split("\n") if line.startswith(" x "))
    assert row[:3] == ["x", "3", "12"] and " ".join(row[3:]) == "3 * 2 + 1 * 6"


def test_a_drawing_that_is_too_wide_is_said(cli):
    said = cli("walk", "graph", "sigmoid(tanh(sigmoid(tanh(sigmoid(tanh(sigmoid(x=1)))))))")
    assert "columns wide; the table has the same" in said.out and "┐" not in said.out


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("2+3*4", 14), ("(2+3)*4", 20), ("8/4/2", 1), ("8-4-2", 2), ("2**3**2", 512), ("-2**2", -4), ("(-2)**2", 4),
        ("2**-1", 0.5), ("--2", 2), ("+3", 3), ("4**(1/2)", 2), ("2*-3", -6), (".5e1 * 2.", 10), ("exp(0)", 1),
        ("log(exp(2))", 2), ("sigmoid(0)", 0.5), ("tanh(0)", 0), ("relu(-3)+1", 1), ("sqrt(16)", 4), ("-(1+2)*2", -6),
        ("7", 7), ("4**(2-1.5)", 2), ("größe=2*3", 6),
    ],
)  # fmt: skip
def test_precedence_is_that_of_arithmetic(cli, typed, value):
    assert cli("walk", "graph", "--json", "--", typed).json["result"] == pytest.approx(value)


def test_derivatives_agree_with_differences(cli):
    text = "sigmoid(x*y - 2) * (x + log(y)) / (1 + exp(-x)) - sqrt(y)**3 + tanh(x - y)*relu(x)"

    def f(x, y):
        return cli("walk", "graph", text, "--let", f"x={x!r}", "--let", f"y={y!r}", "--json")

    x, y, h = 1.3, 0.7, 1e-6
    found = derivatives(f(x, y))
    slopes = [(f(x + h, y).json["result"] - f(x - h, y).json["result"]) / (2 * h),
              (f(x, y + h).json["result"] - f(x, y - h).json["result"]) / (2 * h)]  # fmt: skip
    assert [found["x"], found["y"]] == pytest.approx(slopes, rel=1e-6)


def test_what_is_read_means_what_it_says(cli):
    """Random expressions, against Python's own arithmetic on the same text."""
    draw = random.Random(0)

    def some(depth):
        if depth == 0:
            return f"{draw.uniform(0.5, 3):.3f}"
        a, b, sign = some(depth - 1), some(depth - 1), draw.choice("+-*/")
        return draw.choice([f"({a}{sign}{b})", f"{a} {sign} {b}", f"-{a}", f"{a}*{b}"])

    for _ in range(12):
        text = some(4)
        wanted = eval(text)
        assert math.isclose(
            cli("walk", "graph", "--json", "--", text).json["result"], wanted, rel_tol=1e-9, abs_tol=1e-9
        )


WRONG = {
    "1;2": ("what stands before a ; needs a name, as t=1, or nothing comes of it", 0),
    "x=1; x*2; x": ("what stands before a ; needs a name", 5),
    "2*(3+": ("a number, a name or ( is expected here, but the expression ends", 5),
    "(2+3": ("an operator or ) is expected here, but the expression ends", 4),
    "2 3": ("an operator, or the end, is expected here, but '3' stands there", 2),
    "2+*3": ("a number, a name or ( is expected here, but '*' stands there", 2),
    "2 $ 3": ("'$' is not understood here", 2),
    "2^3": ("a power is written **", 1),
    "x*y": ("x has no value; give it with --let x=2", 0),
    "x=y": ("the number that x stands for is expected here, but 'y' stands there", 2),
    "log(0-1)": ("log of -1 is not a finite number", 0),
    "1/0": ("/ of 1 and 0 is not a finite number", 1),
    "sqrt(0)": ("sqrt of 0 has no finite derivative", 0),
    "exp(1000)": ("exp of 1000 is not a finite number", 0),
    "2**9**9**9": ("** of 2 is not a finite number", 1),
    "2**x=3": ("an exponent must be a number; x**y of two names is exp(y*log(x))", 3),
    "__import__('os')": ("is not understood here", 11),
    "": ("a number, a name or ( is expected here, but the expression ends", 0),
    "(" * 10_000 + "1" + ")" * 10_000: ("the expression has more than 400 numbers, names and signs", None),
    "-" * 300 + "1": ("more than 40 parentheses, signs or powers stand within one another", None),
    "(" * 60 + "1" + ")" * 60: ("more than 40 parentheses", None),
    "2" + "**2" * 60: ("more than 40 parentheses", None),
    "1" + "+1" * 300: ("more than 400", None),
}


@pytest.mark.parametrize("typed", WRONG, ids=lambda t: t[:20])
def test_a_mistake_is_pointed_at(cli, typed):
    text, place = WRONG[typed]
    said = cli("walk", "graph", "--", typed)
    assert (said.code, said.out) == (2, "") and text in said.err and "Traceback" not in said.err
    _, line, caret = said.err.rstrip("\n").split("\n")
    assert len(line) < 85
    if place is not None:
        assert caret == f"  {' ' * place}^" and line.strip() == typed.strip()


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        (["foo(2)"], "no function named 'foo'"),
        (["sigmiod(2)"], "Did you mean 'sigmoid'?"),
        (["x*2", "--let", "x"], "--let takes NAME=NUMBER, got 'x'"),
        (["x*2", "--let", "x=a"], "--let: 'a' is no number"),
        (["x*2", "--let", "x=1", "--let", "z=1"], "the expression has no z"),
        (["x=1*x=2"], "x is given twice, as 1 and as 2"),
        (["x", "--let", "x=1", "--let", "x=2"], "--let gives x twice, as 1 and as 2"),
        (["x=1; x=2; x"], "x is given twice"),
    ],
)
def test_other_mistakes(cli, typed, text):
    said = cli("walk", "graph", *typed)
    assert said.code == 2 and text in said.err and said.err.count("\n") == 1


def test_long_sums_are_read_without_recursion_to_their_length():
    parts = read("+".join(["1"] * 200))
    assert parts[0].tree.kind == "+"
    with pytest.raises(InputError, match="more than 400"):
        read("+".join(["1"] * 202))
