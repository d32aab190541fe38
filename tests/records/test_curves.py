import math

import pytest

from gbench.errors import UserError
from gbench.records.curves import plot, read


def test_a_curve_is_read_in_order_and_a_half_written_row_is_left_out(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("step,valid,seconds\n1,0.5,1\n0,0.25,1\n2,nan,1\n3,0.7")
    first, second, third = read(tmp_path)
    assert (first, second) == (0.25, 0.5)
    assert math.isnan(third)
    assert read(tmp_path / "elsewhere") == []


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "step,valid\nx,0.5\n", "step,valid\n1\n"])
def test_what_is_no_curve_says_so(text, tmp_path):
    (tmp_path / "metrics.csv").write_text(text)
    with pytest.raises(UserError, match=r"metrics\.csv is no learning curve"):
        read(tmp_path)


def dots(lines):
    """The set dots of the picture, (x, y) from its upper left corner; letters count as full."""
    found = set()
    for row, line in enumerate(lines):
        cells = line.partition("┤")[2]
        for column, cell in enumerate(cells):
            mark = 0xFF if cell.isalpha() and ord(cell) < 0x2800 else ord(cell) - 0x2800
            if cell == " ":
                continue
            for x, bits in enumerate(((1, 2, 4, 64), (8, 16, 32, 128))):
                found |= {(2 * column + x, 4 * row + y) for y, b in enumerate(bits) if mark & b}
    return found


def test_a_rising_line_goes_from_the_lower_left_to_the_upper_right():
    lines = plot({"A": [0.0, 1.0, 2.0, 3.0]}, width=30, height=5)
    picture = dots(lines[:-1])
    width = max(x for x, _ in picture) + 1
    assert (0, 19) in picture
    assert (width - 1, 0) in picture
    for x, y in picture:
        assert abs(y - 19 * (1 - x / (width - 1))) <= 3.5  # a letter fills four rows
    assert lines[0].startswith(" 3┤")
    assert lines[4].startswith(" 0┤")
    assert lines[5].split() == ["1", "4", "epoch"]
    assert lines[0].endswith("A")


def test_two_curves_share_their_axes_and_each_ends_in_its_letter():
    lines = plot({"A": [1.0] * 9, "B": [0.0, math.nan, math.inf, 0.0]}, width=60, height=6)
    assert lines[0].rstrip().endswith("A")
    assert "B" in lines[5]
    assert lines[5].rindex("B") < len(lines[0]) / 2  # four epochs of nine
    assert "A" not in "".join(lines[1:6])


def test_a_constant_curve_and_none_at_all():
    assert plot({"A": [2.0]}, width=20, height=3)[1].count("A") == 1
    assert plot({"A": [math.nan]}, width=20, height=3) == []
    assert plot({}, width=20, height=3) == []
