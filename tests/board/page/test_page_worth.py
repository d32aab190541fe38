"""What the page draws of an audit: the line, the remarks, and the band in the plots."""

import pytest

from gbench.board.flags import flagged
from gbench.board.page.page import html
from gbench.board.tables import rows
from gbench.board.worth_text import worth_line


@pytest.fixture
def show(watch, make_record, make_audit, tmp_path):
    """`show(facts)`: the page of two networks at 80 and 84 % that have these facts."""

    def page_of(facts, **options):
        records = [
            make_record(
                identity=model,
                model=model,
                seed=seed,
                test=test + seed / 1e3,
                num_parameters=parameters,
            )
            for model, test, parameters in (("gcn", 0.80, 10_000), ("gat", 0.84, 90_000))
            for seed in range(3)
        ]
        (table,) = rows(records, ())
        table = flagged(table, make_audit(facts))
        path = tmp_path / "page.html"
        path.write_text(html([table], [tmp_path]), "utf-8")
        watched = watch(path.as_uri(), **options)
        watched.page.evaluate(
            "() => document.querySelectorAll('details').forEach((d) => { d.open = true; })"
        )
        return watched, table

    return page_of


NEAR = {"test ceiling at depth inf": 88.0, "logistic regression on features": 80.1}
FAR = {"test ceiling at depth inf": 100.0, "constant baseline": 13.0}


def ticks(figure):
    """Where the grid's values lie: from one to the other a straight line."""
    return figure.evaluate(
        """(figure) => [...figure.querySelectorAll("line.grid + text[text-anchor=end]")]
          .filter((text) => text.getAttribute("x") < 60)
          .map((text) => [text.textContent, text.previousSibling.getAttribute("y1")].map(Number))"""
    )


def test_the_line_stands_below_the_title(show):
    watched, table = show(NEAR)
    page = watched.page
    assert page.locator(".board > header .worth").text_content() == worth_line(table)
    assert page.locator("tbody tr").nth(1).get_by_text("= floor").count() == 1
    assert (watched.said, len(watched.asked)) == ([], 1)


def test_the_band_lies_between_the_best_floor_and_the_ceiling(show):
    figure = show(NEAR)[0].page.locator("figure[data-cost=parameters]")
    (low, y_low), *_, (high, y_high) = ticks(figure)
    slope = (y_high - y_low) / (high - low)
    top, height = (float(figure.locator(".band").get_attribute(key)) for key in ("y", "height"))
    assert top == pytest.approx(y_low + slope * (88.0 - low), abs=0.1)
    assert top + height == pytest.approx(y_low + slope * (80.1 - low), abs=0.1)
    assert figure.locator(".limit").count() == 2
    assert figure.locator(".limit-name").all_text_contents() == [
        "best floor: features alone 80.1 %",
        "ceiling 88 %",
    ]


def test_what_is_far_off_does_not_flatten_the_points(show):
    figure = show(FAR)[0].page.locator("figure[data-cost=parameters]")
    places = [float(y) for y in figure.locator(".point").evaluate_all(
        "(points) => points.map((point) => point.getAttribute('cy'))"
    )]  # fmt: skip
    height = float(figure.locator("svg").get_attribute("height"))
    assert abs(places[0] - places[1]) > 0.1 * height
    assert figure.locator(".limit").count() == 0
    assert figure.locator(".limit-name").all_text_contents() == [
        "↓ best floor: majority 13 %",
        "↑ ceiling 100 %",
    ]


def test_names_of_limits_on_one_side_stand_below_each_other(show):
    above = {"test ceiling at depth inf": 100.0, "logistic regression on features": 98.0}
    page = show(above)[0].page
    floor, ceiling = page.locator("figure[data-cost=parameters] .limit-name").all()
    assert floor.text_content() == "↑ best floor: features alone 98 %"
    first, second = ceiling.bounding_box(), floor.bounding_box()
    assert first["y"] + 10 < second["y"]


def test_without_an_audit_there_is_neither(page):
    assert page.locator(".worth, .band, .limit-name").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_the_line_wraps_and_nothing_is_cut(show, scheme):
    page = show(NEAR, color_scheme=scheme, viewport={"width": 360, "height": 800})[0].page
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    for box in (page.locator(".worth").bounding_box(), *(
        name.bounding_box() for name in page.locator(".limit-name").all()
    )):  # fmt: skip
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 360
