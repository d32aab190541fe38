"""What the plots of the page draw, against the records and files they come from."""

import pytest

from gbench.board import tables as leaderboard
from gbench.board.page.page import html
from gbench.board.published import published_rows
from gbench.figures import metric_text


@pytest.mark.parametrize(("data", "sign"), [("mine", 1), ("yours", -1)])
@pytest.mark.parametrize("cost", ["epoch", "parameters"])
def test_the_front_drawn_is_the_front(page, pages_runs, tables_of, data, sign, cost):
    (table,) = (table for table in tables_of(pages_runs) if table.data == data)

    def price(row):
        return row.seconds_per_epoch if cost == "epoch" else row.num_parameters

    expected = {
        row.rank
        for row in table.rows
        if not any(
            price(other) <= price(row)
            and sign * other.test.mean >= sign * row.test.mean
            and (price(other), other.test.mean) != (price(row), row.test.mean)
            for other in table.rows
        )
    }
    board = page.locator(f'.board[data-data="{data}"]')
    board.locator("details.costs").evaluate("(details) => { details.open = true; }")
    points = board.locator(f"figure[data-cost={cost}] .point")
    assert points.count() == len(table.rows)
    front = board.locator(f"figure[data-cost={cost}] .point.on-front")
    told = front.evaluate_all("(nodes) => nodes.map((node) => node.ariaLabel)")
    shown = {metric_text(table.metric, *row.test): row.rank for row in table.rows}
    assert {
        rank for text, rank in shown.items() if any(text in label for label in told)
    } == expected
    assert 0 < len(expected) < len(table.rows) or (data, cost) == ("yours", "epoch")
    joined = board.locator(f"figure[data-cost={cost}] .front").get_attribute("points")
    assert len(joined.split()) == len(expected)


def test_points_are_reached_and_told_by_keys(page):
    figure = page.locator('.board[data-data="mine"] figure[data-cost="parameters"]')
    assert figure.locator('[tabindex="0"]').count() == 1
    figure.locator('[tabindex="0"]').focus()
    assert "sgc" in figure.locator(".tip").text_content()
    page.keyboard.press("ArrowRight")
    assert "hidden_dim=16" in figure.locator(".tip").text_content()
    page.keyboard.press("End")
    assert figure.locator(".tip").text_content().endswith("128,000")
    page.keyboard.press("Escape")
    assert figure.locator(".tip").count() == 0
    figure.locator(".point").first.hover()
    assert "sgc" in figure.locator(".tip").text_content()


def test_a_published_row_with_parameters_is_a_point(watch, make_record, tmp_path):
    paper = next(row for row in published_rows() if row.num_parameters)
    record = make_record(
        data=paper.data,
        split=paper.split,
        metric=paper.metric,
        direction=paper.direction,
        selection=paper.selection or "best-validation",
    )
    path = tmp_path / "page.html"
    path.write_text(html(leaderboard.rows([record], [paper]), [tmp_path]), "utf-8")
    page = watch(path.as_uri()).page
    assert paper.model in page.locator("tr.published").text_content()
    assert page.locator("figure[data-cost=parameters] .paper").count() == 1
    assert page.locator("figure[data-cost=epoch] .paper").count() == 0


def test_published_results_alone_are_a_page(watch, tmp_path):
    tables = leaderboard.published_tables(published_rows())
    path = tmp_path / "page.html"
    path.write_text(html(tables, []), "utf-8")
    watched = watch(path.as_uri())
    page = watched.page
    page.evaluate("() => document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert page.locator("tr.published").count() == len(published_rows())
    assert not page.locator("details.learning").first.is_visible()
    known = [row for row in published_rows() if row.num_parameters]
    assert page.locator("figure[data-cost=parameters] .paper").count() == len(known)
    assert page.locator("figure:not(:has(svg)):visible").count() == 0
    assert watched.said == []


def test_ticked_runs_have_curves_with_the_figures_of_their_files(page):
    board = page.locator('.board[data-data="mine"]')
    lines = board.locator("figure[data-series=valid] polyline")
    assert lines.count() == 4  # the first run of each of the best four rows
    box = board.locator('input[data-run="mine-gcn-4-s1"]')
    box.focus()
    page.keyboard.press("Space")
    assert lines.count() == 5
    for row in (1, 2, 3, 4):
        board.locator(f'input[data-run="mine-gcn-{row}-s0"]').uncheck()
    assert lines.count() == 1
    points = [tuple(map(float, xy.split(","))) for xy in lines.get_attribute("points").split()]
    assert len(points) == 151  # of 300 epochs every second, and the last
    epochs = [min(1 + 2 * place, 300) for place in range(151)]
    values = [0.8 - 0.5 / epoch - 0.04 for epoch in epochs]
    for axis, expected in ((0, epochs), (1, values)):
        drawn = [point[axis] for point in points]
        slope = (drawn[-1] - drawn[0]) / (expected[-1] - expected[0])
        assert slope * (1 if axis == 0 else -1) > 0
        for at, value in zip(drawn, expected, strict=True):
            assert at == pytest.approx(drawn[0] + slope * (value - expected[0]), abs=0.15)
    assert board.locator("figure[data-series=loss] polyline").count() == 1
