"""Downloads from a server on this machine that serves whole, half, wrong and no files."""

from __future__ import annotations

import hashlib
import io
import socket
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from gbench.data.files import named, raw
from gbench.data.load import load
from gbench.data.spec import DataCard
from gbench.errors import UserError

NUMBERS = b"1 2 3 4 5 6\n"
DIGEST = hashlib.sha256(NUMBERS).hexdigest()


class Server:
    """Serves `pages`: path → content, or (content, the length that the header claims)."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes | tuple[bytes, int]] = {}
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                page = outer.pages.get(self.path)
                if page is None:
                    self.send_error(404)
                    return
                content, length = page if isinstance(page, tuple) else (page, len(page))
                self.send_response(200)
                self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.http.shutdown()
    thread.join()
    made.http.server_close()


@pytest.fixture
def empty(toy: Any) -> Any:
    """The toy dataset before its raw file was fetched."""
    toy.raw.unlink()
    return toy


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)  # the same bytes at any time
    return buffer.getvalue()


def card_for(toy: Any, url: str, digest: str | None = DIGEST, inside: str = "") -> DataCard:
    part = {"url": url, "inside": inside, "files": {"numbers.txt": digest}}
    card: DataCard = toy.card(download=[part])
    return card


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_missing_file_is_fetched_verified_and_told(
    empty: Any, server: Server, capfd: pytest.CaptureFixture[str]
) -> None:
    server.pages["/toy/numbers.txt"] = NUMBERS
    card = card_for(empty, f"{server.url}/toy")
    assert load(card, empty.data_dir, empty.cache_dir).statistics["num_graphs"] == 6
    assert empty.raw.read_bytes() == NUMBERS
    assert files_below(empty.data_dir) == ["toy/numbers.txt"]
    told = capfd.readouterr()
    assert told.out == ""
    assert f"numbers.txt  12 bytes  sha256 {DIGEST} (verified)" in told.err
    raw.obtain(card, empty.data_dir)
    assert server.asked == ["/toy/numbers.txt"]  # what is there is not fetched again


def test_only_what_is_missing_is_fetched(toy: Any, server: Server) -> None:
    server.pages["/toy/more.txt"] = b"more"
    part = {"url": f"{server.url}/toy", "files": {"numbers.txt": DIGEST, "more.txt": None}}
    raw.obtain(toy.card(download=[part]), toy.data_dir)
    assert server.asked == ["/toy/more.txt"]


def test_a_zip_gives_the_files_that_the_card_names_and_no_others(
    empty: Any, server: Server, tmp_path: Path
) -> None:
    server.pages["/toy.zip"] = zipped(
        {"inner/numbers.txt": NUMBERS, "../../escaped.txt": b"x", "inner/other.txt": b"x"}
    )
    before = files_below(tmp_path)
    raw.obtain(card_for(empty, f"{server.url}/toy.zip", inside="inner"), empty.data_dir)
    assert empty.raw.read_bytes() == NUMBERS
    assert sorted([*before, "data/toy/numbers.txt"]) == files_below(tmp_path)


def test_files_in_folders_of_the_archive(empty: Any, server: Server) -> None:
    server.pages["/a.zip"] = zipped({"hiv/raw/a.csv": b"1", "hiv/split/b.csv": b"2"})
    files = {"raw/a.csv": None, "split/b.csv": None}
    card = empty.card(download=[{"url": f"{server.url}/a.zip", "inside": "hiv", "files": files}])
    raw.obtain(card, empty.data_dir)
    assert files_below(empty.data_dir) == [
        "toy/gbench.sha256", "toy/raw/a.csv", "toy/split/b.csv",
    ]  # fmt: skip


GOOD_ZIP = zipped({"numbers.txt": NUMBERS})


@pytest.mark.parametrize(
    ("path", "page", "message"),
    [
        ("/numbers.txt", b"1 2 3 4 5 7\n", f"came with sha256 .*, expected {DIGEST}"),
        ("/numbers.txt", (NUMBERS[:5], 12), "ended after 5 of 12 bytes"),
        ("/numbers.txt", None, "404"),
        ("/a.zip", zipped({"numbers.txt": b"other"}), f"expected {DIGEST}"),
        ("/a.zip", (GOOD_ZIP[:60], len(GOOD_ZIP)), "ended after 60 of"),
        ("/a.zip", GOOD_ZIP[:60], "not a zip file"),
        ("/a.zip", zipped({"elsewhere.txt": NUMBERS}), "no item named 'numbers.txt'"),
    ],
)
def test_what_is_not_right_never_gets_its_name(
    empty: Any, server: Server, path: str, page: Any, message: str
) -> None:
    if page is not None:
        server.pages[path] = page
    url = server.url if path.endswith("txt") else f"{server.url}{path}"
    with pytest.raises(UserError, match=message) as caught:
        load(card_for(empty, url), empty.data_dir, empty.cache_dir)
    text = str(caught.value)
    assert "missing    numbers.txt" in text and url in text
    assert f"belong in  {empty.data_dir / 'toy'}" in text
    assert files_below(empty.data_dir) == []
    assert empty.times_prepared == 0
    server.pages[path] = NUMBERS if path.endswith("txt") else GOOD_ZIP
    dataset = load(card_for(empty, url), empty.data_dir, empty.cache_dir)
    assert dataset.statistics["num_graphs"] == 6


def test_without_a_network_one_message_says_what_to_do(empty: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: it refuses
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/toy"
        with pytest.raises(UserError) as caught:
            raw.obtain(card_for(empty, url), empty.data_dir)
    text = str(caught.value)
    assert "'toy' are missing" in text and "refused" in text
    for offline in ("data=digits", "data=csl", "data=csbm"):
        assert offline in text
    assert "data=cora" not in text


def test_a_data_folder_that_cannot_be_written(empty: Any, server: Server) -> None:
    server.pages["/toy/numbers.txt"] = NUMBERS
    blocked = empty.data_dir / "file"
    blocked.write_text("not a folder")
    with pytest.raises(UserError, match="GBENCH_DATA"):
        raw.obtain(card_for(empty, f"{server.url}/toy"), blocked)


def test_an_altered_raw_file_is_refused_and_kept(toy: Any) -> None:
    toy.raw.write_bytes(NUMBERS[:-3])
    with pytest.raises(UserError, match=f"is not the published file.*expected {DIGEST}"):
        raw.obtain(card_for(toy, "http://127.0.0.1:9"), toy.data_dir)
    assert toy.raw.exists()


@pytest.mark.data
@pytest.mark.parametrize("name", ["cora", "citeseer", "texas", "mutag", "ogbg-molhiv"])
def test_the_files_at_hand_have_the_names_and_hashes_of_the_cards(
    name: str, data_dir: Path
) -> None:
    from gbench.data.manage import card_of

    card = card_of(name)
    assert named.missing(card, data_dir) == []
    assert raw.obtain(card, data_dir) == data_dir / card.folder
