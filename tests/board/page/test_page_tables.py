"""Sorting, filtering and following the tables of the page, in a browser."""

import shutil
import threading

from gbench.board.page.live import Live
from gbench.board.page.serve import make_server


def test_columns_sort_by_click_and_by_key(page, column):
    head = page.locator('.board[data-data="mine"] th[data-key="parameters"]')
    smallest = ["500", "16,000", "32,000", "64,000", "80,000", "128,000"]
    assert column(page, "parameters") != smallest
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert column(page, "parameters") == smallest
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert column(page, "parameters") == smallest[::-1]
    page.keyboard.press("Tab")
    page.keyboard.press("Space")  # the next column: time per epoch, fastest first
    assert head.get_attribute("aria-sort") is None
    assert column(page, "epoch") == ["0.5 ms", "1 ms", "2 ms", "4 ms", "8 ms", "10 ms"]
    assert column(page, "parameters", "yours") == ["32", "64", "16"]  # another table stays


def test_what_is_unknown_comes_last_both_ways(page, column):
    button = page.locator('.board[data-data="mine"] th[data-key="memory"] button')
    for order in (1, -1):
        button.click()
        known = ["512 MiB", "1.6 GiB", "4.7 GiB", "6.2 GiB", "12.5 GiB"][::order]
        assert column(page, "memory") == [*known, "–"]


def test_filters_leave_the_rows_that_have_every_word(page, column):
    def shown():
        return page.evaluate(
            """() => [...document.querySelectorAll("tbody tr")]
              .filter((row) => row.checkVisibility() && row.dataset.settings !== undefined)
              .map((row) => row.dataset.settings)"""
        )

    everything = page.text_content("#count")
    page.fill("#text", "MINE hidden_dim=64")
    assert shown() == ["hidden_dim=64"]
    assert page.text_content("#count") == f"1 of {everything}"
    assert page.locator(".board:visible h2").all_text_contents() == ["mine"]
    page.fill("#text", "hidden_dim=64")
    page.select_option("#data", "yours")
    assert page.locator(".board:visible h2").all_text_contents() == ["yours"]
    page.fill("#text", "")
    page.select_option("#data", "")
    page.select_option("#model", "sgc")
    assert column(page, "#") == ["6"]
    page.select_option("#model", "")
    assert page.text_content("#count") == everything


def test_without_scripts_there_are_the_tables(watch, file):
    page = watch(file, java_script_enabled=False).page
    assert page.locator(".board").count() == 3
    assert page.locator("tbody tr:visible").count() == page.locator("tbody tr").count() >= 11
    assert page.locator("noscript").is_visible()
    for hidden in (".filters", "#theme", "details"):
        assert not page.locator(hidden).first.is_visible()


def test_a_served_page_follows_its_records(
    watch, make_record, save, pages_runs, tables_of, column, tmp_path
):
    runs = shutil.copytree(pages_runs, tmp_path / "runs")
    live = Live([str(runs)], lambda: (tables_of(runs), []))
    with make_server(live, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        watched = watch(f"http://127.0.0.1:{server.server_address[1]}/")
        page = watched.page
        page.locator(".running", has_text="live · nothing in training").wait_for()
        page.fill("#text", "mine")
        page.locator('.board[data-data="mine"] th[data-key="parameters"] button').click()
        page.locator('input[data-run="mine-gcn-0-s0"]').check()
        first = page.locator('.board[data-data="mine"]').element_handle()
        save(make_record(run="new", identity="n", data="mine", model="new", test=0.95), runs)
        page.locator("th", has_text="new").wait_for()
        assert not first.evaluate("(board) => board.isConnected")
        assert column(page, "parameters")[:2] == ["500", "16,000"]  # still sorted, and filtered
        assert page.locator(".board:visible").count() == 1
        assert page.locator('input[data-run="mine-gcn-0-s0"]').is_checked()
        server.shutdown()
    page.locator(".running", has_text="has ended").wait_for()
    assert all("ERR_CONNECTION_REFUSED" in said for said in watched.said)
