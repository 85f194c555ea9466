"""What PyTorch gives in odd cases, replay gives too, or says which step it cannot: never another number."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from hubel.errors import InputError, ShapeError, UnknownName
from hubel.replay import Program, replay


class Doing(nn.Module):
    """A network whose forward is a function."""

    def __init__(self, forward, **held):
        super().__init__()
        self.does = forward
        for name, value in held.items():
            setattr(self, name, value)

    def forward(self, x):
        return self.does(self, x)


def conv():
    return nn.Conv2d(3, 3, 3, padding=1)


def normal(*shape):
    return np.random.default_rng(1).standard_normal(shape)


X, SQUARE, PICTURE = normal(3, 5), normal(2, 4, 5), normal(2, 3, 7, 6)


def assert_as_pytorch(network, x, tol=1e-12):
    """The output, and the gradients of the input and of every parameter, for a random dy."""
    network = network.double()
    found = replay(network, x.copy())
    leaf = torch.tensor(x, requires_grad=x.dtype == np.float64)
    output = network(leaf * 1 if leaf.requires_grad else leaf)  # a copy, since some write in place
    dy = normal(*output.shape)
    output.backward(torch.tensor(dy))
    np.testing.assert_allclose(found.output.value, output.detach().numpy(), rtol=tol, atol=tol)
    gradients = found.gradients(dy=dy)
    if leaf.requires_grad:
        dx = gradients.get(found.input, np.zeros_like(x))
        np.testing.assert_allclose(dx, leaf.grad.numpy(), rtol=tol, atol=tol)
    for name, parameter in network.named_parameters():
        slope = gradients[found.parameters[name]]
        np.testing.assert_allclose(slope, parameter.grad.numpy(), rtol=tol, atol=tol, err_msg=name)


# ---- in place


def added_to_a_second_name(m, x):
    skip = x = m.conv(x)
    x += 1.0
    return torch.cat([x, skip * 2], 1)


def scaled_through_the_first_of_three_names(m, x):
    first = m.conv(x)
    second = m.same(first)
    third = second
    first *= 3
    second -= 0.5
    third /= 2
    return first + second * third


def written_by_a_layer(m, x):
    y = m.conv(x)
    z = m.relu(y)
    return torch.cat([y, z * 2], 1)


def a_clone_is_another(m, x):
    y = m.conv(x)
    z = y.clone()
    y += 1
    return y * z


def a_view_that_is_the_last_to_be_read(m, x):
    y = m.conv(x).flatten(1)
    y += 1
    return y * 2


def a_shape_from_before(m, x):
    y = m.conv(x)
    n = y.shape
    count = y.size(1)
    count += 3
    y += count
    return y.view(n[0], -1)


IN_PLACE = [
    added_to_a_second_name, scaled_through_the_first_of_three_names, written_by_a_layer, a_clone_is_another,
    a_view_that_is_the_last_to_be_read, a_shape_from_before,
]  # fmt: skip


@pytest.mark.parametrize("forward", IN_PLACE, ids=lambda f: f.__name__)
def test_what_is_written_in_place_has_changed_under_every_name(forward):
    held = {"conv": conv(), "same": nn.Identity(), "relu": nn.ReLU(inplace=True)}
    used = {k: v for k, v in held.items() if k in forward.__code__.co_names}
    assert_as_pytorch(Doing(forward, **used), PICTURE)


def a_slice(m, x):
    y = m.conv(x)
    y[:, :1] += 3
    return y


def a_named_slice(m, x):
    y = m.conv(x)
    z = y[:, :1]
    z += 3
    return y * 1


def a_view(m, x):
    y = m.conv(x)
    y.view(2, -1).mul_(2)
    return y


def what_a_view_sees(m, x):
    y = m.conv(x)
    z = y.transpose(2, 3)
    y += 1
    return z * 1


def one_of_several(m, x):
    a, b = m.conv(x).split([1, 2], 1)
    a *= 2
    return torch.cat([b, a], 1)


def what_may_be_a_copy(m, x):
    y = m.conv(x)
    z = y.permute(0, 2, 3, 1).contiguous()
    z += 1
    return z.sum() * y


def an_attribute_seen_turned(m, x):
    y = m.conv(x)
    z = y.mT
    z += 1
    return y


def a_buffer(m, x):
    m.seen.add_(x.sum())
    return m.conv(x) + m.seen


def a_sum_that_is_wider(m, x):
    y = m.conv(x).mean(1, keepdim=True)
    y += x
    return y


REFUSED_IN_PLACE = [
    (a_slice, "the step 'setitem' cannot be replayed"),
    (
        a_named_slice,
        "the step 'add' cannot be replayed: it writes in place to an array that is read under another",
    ),
    (a_view, "the step 'mul' cannot be replayed: it writes in place"),
    (what_a_view_sees, "the step 'add' cannot be replayed: it writes in place"),
    (one_of_several, "the step 'multiply' cannot be replayed: it writes in place"),
    (what_may_be_a_copy, "the step 'add' cannot be replayed: it writes in place"),
    (an_attribute_seen_turned, "the step 'add' cannot be replayed: it writes in place"),
    (a_buffer, "the step 'add' cannot be replayed: it writes in place to 'seen', which the network holds"),
    (
        a_sum_that_is_wider,
        r"'add' writes in place to \(2, 1, 7, 6\), where its result \(2, 3, 7, 6\) does not fit",
    ),
]


@pytest.mark.parametrize(("forward", "said"), REFUSED_IN_PLACE, ids=[f.__name__ for f, _ in REFUSED_IN_PLACE])
def test_writing_to_a_part_of_an_array_that_is_read_elsewhere_is_refused(forward, said):
    network = Doing(forward, conv=conv())
    network.register_buffer("seen", torch.zeros(()))
    with pytest.raises(InputError, match=said):
        replay(network.double(), PICTURE)


# ---- the same numbers


def of(forward, **held):
    return Doing(lambda _, x: forward(x), **held)


EDGES = np.array([[-2.0, -1, 0, 1, 2], [-1, 1, 6, 5, -6]])
SAME = {
    "softplus with a near threshold": (nn.Softplus(threshold=1), X),
    "softplus with a beta": (nn.Softplus(beta=2, threshold=0.5), X),
    "hardtanh at its limits": (nn.Hardtanh(), EDGES),
    "hardtanh of other limits": (nn.Hardtanh(-1, 5), EDGES),
    "relu6 at its limits": (nn.ReLU6(), EDGES + 1),
    "clamp at its limits": (of(lambda x: x.clamp(-1, 1)), EDGES),
    "enlarging to whole numbers": (nn.Upsample(scale_factor=(2, 1.5), mode="bilinear"), PICTURE),
    "enlarging by sizes": (nn.Upsample(scale_factor=1.7, recompute_scale_factor=True), PICTURE),
    "enlarging corner to corner": (nn.Upsample(scale_factor=1.7, mode="bilinear", align_corners=True), PICTURE),
    "true counts as one": (of(lambda x: x * ((x > 0).double() + (x < 1).double())), X),
    "true times a number": (of(lambda x: x * ((x > 0) * 2.5)), X),
    "what is true is counted": (of(lambda x: x * (x > 0).sum()), X),
    "whole numbers are cut off": (of(lambda x: x * x.to(torch.int64)), X * 3),
    "a cast to true and false": (of(lambda x: x * x.to(torch.int64).bool()), X),
    "a quotient of whole numbers": (of(lambda x: x + x.long() / 2), X * 3),
    "a cast to another's dtype": (of(lambda x: x * (x > 0).to(x.dtype) + (x < 1).type_as(x)), X),
    "a choice between numbers": (of(lambda x: x + torch.where(x > 0, 1.5, -0.5)), X),
    "softmax without an axis, 3 axes": (nn.Softmax(), SQUARE),
    "softmax without an axis, 2 axes": (nn.Softmax(), X),
    "log softmax without an axis, 4 axes": (nn.LogSoftmax(), PICTURE),
    "axis for dim": (of(lambda x: x.mean(axis=1, keepdim=True) + torch.cat([x, x], axis=1)), X),
    "two axes squeezed": (of(lambda x: x.mean((2, 3), keepdim=True).squeeze((2, 3))), PICTURE),
    "names of arguments": (of(lambda x: torch.add(input=x, other=x * x, alpha=2)), X),
    "abs": (of(lambda x: abs(x) + abs(-x) * x), X),
    "a sum with a dtype": (of(lambda x: x * x.long().sum(1, keepdim=True, dtype=torch.float64)), X * 3),
    "conv transpose by itself": (nn.ConvTranspose2d(3, 2, (3, 2), 2), PICTURE),
    "batch norm by itself": (nn.BatchNorm2d(3).eval(), PICTURE),
    "instance norm by itself": (nn.InstanceNorm2d(3, affine=True), PICTURE),
    "group norm by itself": (nn.GroupNorm(3, 3), PICTURE),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Implicit dimension choice")
@pytest.mark.parametrize("name", SAME)
def test_odd_cases_are_pytorchs(name):
    network, x = SAME[name]
    assert_as_pytorch(network, x)


@pytest.mark.parametrize("padding", [0, -2])
def test_the_word_of_the_padding_learns_nothing(padding):
    ids = np.array([[0, 1, 2], [5, 0, 6]])
    assert_as_pytorch(nn.Sequential(nn.Embedding(7, 3, padding_idx=padding)), ids)
    asked = Doing(lambda m, x: F.embedding(x, m.w, padding_idx=padding), w=nn.Parameter(torch.randn(7, 3)))
    assert_as_pytorch(asked, ids)


def test_a_tensor_that_the_network_just_holds_is_a_constant():
    inner = Doing(lambda m, x: x * m.w, w=torch.randn(5, dtype=torch.float64))
    assert_as_pytorch(
        Doing(lambda m, x: m.inner(x) + m.w, inner=inner, w=torch.randn(5, dtype=torch.float64)), X
    )


def test_a_layer_by_itself_has_its_weights_under_their_own_names():
    found = Program(nn.BatchNorm2d(3), training=True).run(PICTURE.astype(np.float32))
    assert list(found.parameters) == ["weight", "bias"]
    assert list(found.layers) == ["input", "batchnorm2d"]
    assert found.buffers["num_batches_tracked"] == 1


def test_counting_keeps_the_dtype_of_the_network():
    found = replay(of(lambda x: x * (x > 0).sum() / 2, unused=nn.Linear(1, 1)), X.astype(np.float32))
    assert found.output.value.dtype == np.float32


# ---- what is refused, and how it says so

PARTIAL = nn.utils.parametrizations.weight_norm(nn.Linear(5, 2))
REFUSED = {
    "words kept short": (nn.Sequential(nn.Embedding(7, 3, max_norm=0.5)), np.array([[1, 2]]), "'0' .* max_norm"),
    "by frequency": (nn.Sequential(nn.Embedding(7, 3, scale_grad_by_freq=True)), np.array([[1]]), "by_freq"),
    "enlarging": (nn.Upsample(scale_factor=1.7), PICTURE, "'upsample' .*enlarging 7 x 6 cells by 1.7"),
    "enlarging, bilinear": (nn.Upsample(scale_factor=1.5, mode="bilinear"), PICTURE, "by 1.5"),
    "places of a maximum": (
        Doing(lambda m, x: m.p(x)[0], p=nn.AdaptiveMaxPool2d(2, return_indices=True)), PICTURE, "'p' .* indices",
    ),
    "a limit that is learnt": (
        Doing(lambda m, x: torch.clamp(x, min=m.w), w=nn.Parameter(torch.zeros(5))), X, "'clamp' .* limits that are",
    ),
    "a cast to few bits": (of(lambda x: x.to(torch.float16)), X, "the step 'to' .* a cast to float16"),
    "an argument without a rule": (
        of(lambda x: x.clamp(0, 1, out=None)), X, "the step 'clamp' cannot be replayed .* 'out'",
    ),
    "an axis that is not there": (of(lambda x: x.unsqueeze(0).transpose(0, 5)), X, "the step 'transpose' cannot"),
    "a layer without a definition": (nn.CELU(), X, "'celu' cannot be replayed: the layer type CELU"),
    "weights made of others": (PARTIAL, X, "_WeightNorm has no definition"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_definition_is_refused_by_its_name(name):
    network, x, said = REFUSED[name]
    with pytest.raises(InputError, match=said):
        replay(network.double(), x)


def test_a_second_input_is_refused():
    class Two(nn.Module):
        def forward(self, x, other):
            return x + other

    with pytest.raises(InputError, match="Two cannot be replayed: beside x its forward takes other"):
        Program(Two())


def test_a_second_input_that_may_be_left_out_is_left_out():
    class Scaled(nn.Module):
        def forward(self, x, by=3.0, *more):
            return x * by

    assert np.array_equal(replay(Scaled(), X).output.value, X * 3)


# ---- what is given to a run


def test_a_mask_of_a_layer_that_drops_nothing_is_refused():
    network = nn.Sequential(nn.Linear(5, 4), nn.Dropout(0.5))
    masks = {"l": np.ones((3, 4))}
    x = X.astype(np.float32)
    with pytest.raises(UnknownName, match=r"no layer that drops named 'l'\. Known: 1"):
        Program(network, training=True).run(x, masks=masks)
    with pytest.raises(UnknownName, match="Only in training something is dropped"):
        Program(network).run(x, masks={"1": np.ones((3, 4))})


def test_what_is_put_in_the_place_of_a_weight_must_fit():
    program = Program(nn.BatchNorm2d(3))
    program.parameters["weight"] = np.ones((3, 1), np.float32)
    with pytest.raises(
        ShapeError, match=r"the parameter 'weight' is \(3,\) in the network, but .* by \(3, 1\)"
    ):
        program.run(PICTURE)
    program.parameters["weight"] = np.full(3, 2, np.float32)
    program.buffers["running_men"] = np.ones(3, np.float32)
    with pytest.raises(UnknownName, match=r"no buffer named 'running_men'\. Did you mean 'running_mean'"):
        program.run(PICTURE)
    del program.buffers["running_men"], program.buffers["running_mean"]
    with pytest.raises(InputError, match=r"the buffer 'running_mean' \(3,\) was taken away"):
        program.run(PICTURE)
    program.buffers["running_mean"] = np.ones(4, np.float32)
    with pytest.raises(ShapeError, match=r"the buffer 'running_mean' is \(3,\)"):
        program.run(PICTURE)
