import pytest
import torch
from torch.nn import functional as F

from hubel.errors import ShapeError
from hubel.shapes import Field, effective, same_padding, transposed, windowed


def test_the_lectures_own_size():
    # floor((28 + 2*2 - 5) / 3) + 1 = 10 and floor((31 + 4 - 5) / 3) + 1 = 11
    assert (windowed(28, 5, 3, 2), windowed(31, 5, 3, 2)) == (10, 11)


@pytest.mark.parametrize("size", [7, 8, 11, 28])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation"),
    [(3, 1, 0, 1), (3, 2, 1, 1), (2, 2, 0, 1), (3, 3, 1, 2), (5, 4, 2, 1)],
)
def test_sizes_are_those_that_pytorch_makes(size, kernel, stride, padding, dilation):
    x = torch.zeros(1, 1, size)
    made = F.conv1d(x, torch.zeros(1, 1, kernel), stride=stride, padding=padding, dilation=dilation).shape[-1]
    assert windowed(size, kernel, stride, padding, dilation) == made
    if padding <= kernel // 2 and dilation == 1:
        pooled = F.max_pool1d(x, kernel, stride, padding, ceil_mode=True).shape[-1]
        assert windowed(size, kernel, stride, padding, ceil=True) == pooled


@pytest.mark.parametrize(
    ("stride", "padding", "extra", "dilation"), [(1, 0, 0, 1), (2, 1, 1, 1), (3, 2, 0, 2)]
)
def test_transposed_sizes_are_those_that_pytorch_makes(stride, padding, extra, dilation):
    made = F.conv_transpose1d(
        torch.zeros(1, 1, 6),
        torch.zeros(1, 1, 4),
        stride=stride,
        padding=padding,
        output_padding=extra,
        dilation=dilation,
    )
    assert transposed(6, 4, stride, padding, extra, dilation) == made.shape[-1]


def test_a_window_that_does_not_fit_says_both_sizes():
    with pytest.raises(
        ShapeError, match=r"a window of 7 does not fit into 4 cells with padding 1 \(4 \+ 2\*1 = 6\)"
    ):
        windowed(4, 7, padding=1)


def test_no_symmetric_padding_for_an_even_window():
    assert same_padding(3, 2) == 2
    with pytest.raises(ShapeError, match="even window of 4"):
        same_padding(4)


def test_stacked_threes_see_what_five_and_seven_see():
    two = Field().through(3, padding=1).through(3, padding=1)
    three = two.through(3, padding=1)
    assert (two.size, three.size) == (5, 7)
    assert three == Field().through(7, padding=3)


def test_strides_multiply_and_offsets_add_up():
    # conv 5/2 padding 2: size 5, stride 2, begins at -2; then 3/2 padding 1: 5 + 2*2 = 9, stride 4, -2 - 1*2 = -4
    assert Field().through(5, 2, 2).through(3, 2, 1) == Field(9, 4, -4)
    assert effective(3, 4) == 9
