"""A real headless Chromium, at GBENCH_CHROMIUM or the first on the PATH, and a page for it."""

import math
import os
import shutil
from pathlib import Path

import pytest

from gbench.board import tables as leaderboard
from gbench.board.page.page import html
from gbench.records import find as store

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser():
    """Chromium, for all tests of a file."""
    program = os.environ.get("GBENCH_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), "")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        program = ""
    if not Path(program).is_file():
        reason = "needs Chromium, at GBENCH_CHROMIUM or on the PATH, and the playwright package"
        if os.environ.get("GBENCH_REQUIRE_CHROMIUM"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def hostile_name():
    """A model's name that would run as a script."""
    return "</script><img src=x onerror=alert(1)><script>alert(2)</script>"


@pytest.fixture(scope="session")
def tables_of():
    """`tables_of(folder)`: the tables of the runs there."""
    return lambda folder: leaderboard.rows(store.find([folder])[0])


@pytest.fixture(scope="session")
def pages_runs(make_record, save, hostile_name, tmp_path_factory):
    """Three tables: six settings of accuracy, three of an error, one with a hostile name."""
    folder = tmp_path_factory.mktemp("page") / "runs"

    def keep(data, model, row, seed, **changes):
        run = f"{data}-{model}-{row}-s{seed}"
        config = {"model.hidden_dim": changes.pop("hidden_dim", 16)}
        values = {"identity": f"{row:010x}", "model": model, "seed": seed, "run": run}
        path = save(make_record(config, data=data, **values, **changes), folder)
        epochs = 300
        lines = [f"{e},{2 / (e + 1)},{0.8 - 0.5 / (e + 1) - 0.01 * row}" for e in range(epochs)]
        text = "\n".join(["step,train_loss,valid", *lines]) + "\n"
        (path.parent / "metrics.csv").write_text(text)

    for row, hidden_dim in enumerate([16, 32, 48, 64, 128]):
        for seed in range(3):
            keep(
                "mine",
                "gcn",
                row,
                seed,
                hidden_dim=hidden_dim,
                test=0.7 + 0.02 * row + 0.002 * seed,
                # 48: slow and large, but not the best
                seconds_per_epoch=0.01 if hidden_dim == 48 else hidden_dim / 16_000,
                num_parameters=80_000 if hidden_dim == 48 else 1000 * hidden_dim,
                peak_memory_mib=math.nan if hidden_dim == 32 else 100.0 * hidden_dim,
            )
    keep("mine", "sgc", 9, 0, test=0.6, seconds_per_epoch=0.0005, num_parameters=500)
    for row, hidden_dim in enumerate([16, 32, 64], start=20):
        for seed, off in enumerate((-0.01, 0.01) if hidden_dim != 64 else (0.04, -0.04)):
            keep(
                "yours",
                "gin",
                row,
                seed,
                hidden_dim=hidden_dim,
                metric="mae",
                direction="min",
                test=[0.3, 0.2, 0.25][row - 20] + off,  # so far apart that the last is a tie
                num_parameters=hidden_dim,
            )
    keep("zoo", hostile_name.replace("/", "|"), 30, 0)
    hostile = make_record(
        run="hostile", identity="h", data="zoo", model=hostile_name, device=hostile_name
    )
    save(hostile, folder)
    return folder


class Watched:
    """A page, what it complained about and what it asked for."""

    def __init__(self, browser, address, **options):
        self.context = browser.new_context(**options)
        self.context.set_default_timeout(0)  # pytest's ends a hang
        self.page = self.context.new_page()
        self.said, self.asked = [], []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.said.append("dialog"), dialog.dismiss()))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(address)


@pytest.fixture
def watch(browser):
    """`watch(address, color_scheme="dark")`: a page that is open until the test ends."""
    watched = []

    def open_page(address, **options):
        watched.append(Watched(browser, address, **options))
        return watched[-1]

    yield open_page
    for each in watched:
        each.context.close()


@pytest.fixture(scope="session")
def file(pages_runs, tables_of):
    """The address of the page of these runs."""
    path = pages_runs.with_name("page.html")
    path.write_text(html(tables_of(pages_runs), [pages_runs]), "utf-8")
    return path.as_uri()


@pytest.fixture
def page(watch, file):
    """The page of the runs, which neither complains nor asks for anything else."""
    watched = watch(file)
    yield watched.page
    assert watched.said == []
    assert watched.asked == [file]


@pytest.fixture
def column():
    """`column(page, key)`: the texts of a column in the order in which the table shows them."""

    def texts(page, key, data="mine"):
        return page.evaluate(
            """([key, data]) => {
              const board = document.querySelector(`.board[data-data="${data}"]`);
              const place = board.querySelector(`th[data-key="${key}"]`).cellIndex;
              return [...board.querySelectorAll("tbody tr")]
                .filter((row) => row.checkVisibility())
                .map((row) => row.cells[place].textContent);
            }""",
            [key, data],
        )

    return texts
