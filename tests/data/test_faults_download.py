"""Connections that end, servers that cannot continue, files that change, disks that are full."""

from __future__ import annotations

import hashlib
import io
import re
import signal
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from gbench.data.files import named, raw
from gbench.data.files.download import download
from gbench.data.load import load
from gbench.errors import UserError

CONTENT = bytes(range(256)) * 4000  # about a megabyte
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Server:
    """A file server that can be told to fail in the ways that servers do."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes] = {}
        self.asked: list[tuple[str, str | None]] = []  # path and Range
        self.drop_after: list[int] = []  # of the next answers: how many bytes before the line drops
        self.has_ranges = True
        self.version: dict[str, str] = {"ETag": '"one"'}
        self.pause = 0.0
        self.together: threading.Barrier | None = None  # for so many answers to begin at once
        self.hold = threading.Event()  # not set: no answer goes on after its first piece
        self.hold.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked = self.headers.get("Range")
                outer.asked.append((self.path, asked))
                if outer.together:
                    outer.together.wait()
                content = outer.pages.get(self.path)
                if content is None:
                    self.send_error(404)
                    return
                start = 0
                same = self.headers.get("If-Range") in outer.version.values()
                if asked and outer.has_ranges and same:
                    found = re.fullmatch(r"bytes=(\d+)-", asked)
                    assert found
                    start = int(found[1])
                    if start >= len(content):
                        self.send_response(416)
                        self.send_header("Content-Range", f"bytes */{len(content)}")
                        self.end_headers()
                        return
                    self.send_response(206)
                    self.send_header(
                        "Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}"
                    )
                else:
                    self.send_response(200)
                self.send_header("Content-Length", str(len(content) - start))
                for name, value in outer.version.items():
                    self.send_header(name, value)
                self.end_headers()
                rest = content[start:]
                if outer.drop_after:
                    rest = rest[: outer.drop_after.pop(0)]
                for i in range(0, len(rest), 1 << 17):
                    self.wfile.write(rest[i : i + (1 << 17)])
                    time.sleep(outer.pause)
                    outer.hold.wait()

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
def wanted(toy: Any, server: Server) -> Any:
    """A card whose only file, big.bin, is on the server and not here."""
    server.pages["/big.bin"] = CONTENT
    card = toy.card(download=[{"url": server.url, "files": {"big.bin": DIGEST}}])
    return card, toy.data_dir


def files_below(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_a_dropped_connection_is_continued_at_once(wanted: Any, server: Server) -> None:
    card, data_dir = wanted
    server.drop_after = [300_000, 400_000]
    folder = raw.obtain(card, data_dir)
    assert (folder / "big.bin").read_bytes() == CONTENT
    assert [part for _, part in server.asked] == [None, "bytes=300000-", "bytes=700000-"]
    assert files_below(data_dir) == ["big.bin", "numbers.txt"]


@pytest.mark.parametrize(
    "version", [{"ETag": '"one"'}, {"Last-Modified": "Sat, 21 Nov 2026 07:00:00 GMT"}]
)
def test_half_a_download_is_kept_and_continued_by_the_next_command(
    wanted: Any, server: Server, version: dict[str, str]
) -> None:
    card, data_dir = wanted
    server.version = version
    server.drop_after = [500_000, 0]
    with pytest.raises(UserError, match=r"ended after 500,000 of 1,024,000 bytes(.|\n)*big.bin"):
        raw.obtain(card, data_dir)
    assert not (data_dir / "toy" / "big.bin").exists()
    assert (raw.obtain(card, data_dir) / "big.bin").read_bytes() == CONTENT
    assert server.asked[-1] == ("/big.bin", "bytes=500000-")
    assert files_below(data_dir) == ["big.bin", "numbers.txt"]


def test_a_server_without_ranges_begins_anew(wanted: Any, server: Server) -> None:
    card, data_dir = wanted
    server.has_ranges, server.drop_after = False, [500_000, 0]
    with pytest.raises(UserError):
        raw.obtain(card, data_dir)
    assert (raw.obtain(card, data_dir) / "big.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("version", [{}, {"ETag": 'W/"weak"'}])
def test_what_cannot_be_told_apart_is_not_continued(
    wanted: Any, server: Server, version: dict[str, str]
) -> None:
    card, data_dir = wanted
    server.version, server.drop_after = version, [500_000, 0]
    with pytest.raises(UserError):
        raw.obtain(card, data_dir)
    assert files_below(data_dir) == ["numbers.txt"]
    raw.obtain(card, data_dir)
    assert [part for _, part in server.asked] == [None, None, None]


def test_a_file_that_changed_on_the_server_is_not_mixed_with_the_old(
    wanted: Any, server: Server
) -> None:
    card, data_dir = wanted
    server.pages["/big.bin"] = CONTENT[::-1]
    server.drop_after = [500_000, 0]
    with pytest.raises(UserError):
        raw.obtain(card, data_dir)
    server.pages["/big.bin"], server.version = CONTENT, {"ETag": '"two"'}
    assert (raw.obtain(card, data_dir) / "big.bin").read_bytes() == CONTENT
    assert server.asked[-1] == ("/big.bin", "bytes=500000-")  # asked, and not granted


def test_a_damaged_half_is_fetched_anew(wanted: Any, server: Server) -> None:
    card, data_dir = wanted
    server.drop_after = [500_000, 0]
    with pytest.raises(UserError):
        raw.obtain(card, data_dir)
    half = data_dir / "toy" / ".big.bin.partial"
    half.write_bytes(b"x" + half.read_bytes()[1:])
    assert (raw.obtain(card, data_dir) / "big.bin").read_bytes() == CONTENT
    assert [part for _, part in server.asked][-2:] == ["bytes=500000-", None]


def test_a_whole_half_needs_no_more_bytes(wanted: Any, server: Server) -> None:
    card, data_dir = wanted
    server.drop_after = [500_000, 0]
    with pytest.raises(UserError):
        raw.obtain(card, data_dir)
    (data_dir / "toy" / ".big.bin.partial").write_bytes(CONTENT)  # killed before the last step
    assert (raw.obtain(card, data_dir) / "big.bin").read_bytes() == CONTENT
    assert files_below(data_dir) == ["big.bin", "numbers.txt"]


def test_an_archive_is_continued_too_and_goes_once_unpacked(toy: Any, server: Server) -> None:
    server.pages["/a.zip"] = zipped({"a/x.bin": CONTENT, "a/y.bin": CONTENT[:10]})
    files = {"x.bin": None, "y.bin": None}
    card = toy.card(download=[{"url": f"{server.url}/a.zip", "inside": "a", "files": files}])
    server.drop_after = [600_000, 0]
    with pytest.raises(UserError, match=r"missing    x.bin, y.bin"):
        raw.obtain(card, toy.data_dir)
    folder = raw.obtain(card, toy.data_dir)
    assert server.asked[-1] == ("/a.zip", "bytes=600000-")
    assert (folder / "x.bin").read_bytes() == CONTENT
    assert files_below(toy.data_dir) == ["gbench.sha256", "numbers.txt", "x.bin", "y.bin"]


def test_a_file_that_nothing_verifies_is_not_put_together(toy: Any, server: Server) -> None:
    server.pages["/big.bin"] = CONTENT
    card = toy.card(download=[{"url": server.url, "files": {"big.bin": None}}])
    server.drop_after = [500_000]
    assert (raw.obtain(card, toy.data_dir) / "big.bin").read_bytes() == CONTENT
    assert server.asked == [("/big.bin", None)] * 2


@pytest.mark.parametrize("damage", ["shortened", "one bit"])
@pytest.mark.parametrize("official", [True, False])
def test_a_raw_file_that_changed_on_disk_is_refused(
    toy: Any, server: Server, damage: str, official: bool
) -> None:
    toy.raw.unlink()
    content = b"1 2 3 4 5 6\n"
    server.pages["/numbers.txt"] = content
    known = hashlib.sha256(content).hexdigest() if official else None
    card = toy.card(download=[{"url": server.url, "files": {"numbers.txt": known}}])
    before = load(card, toy.data_dir, toy.cache_dir).fingerprint
    toy.raw.write_bytes(content[:-3] if damage == "shortened" else b"1 2 3 4 5 7\n")
    expected = "not the published file" if official else "has changed since it came"
    with pytest.raises(UserError, match=rf"numbers.txt .*{expected}.*gbench data get toy"):
        load(card, toy.data_dir, toy.cache_dir)
    toy.raw.unlink()
    raw.obtain(card, toy.data_dir)
    assert load(card, toy.data_dir, toy.cache_dir).fingerprint == before


def test_several_files_come_at_once_and_one_failure_ends_all(toy: Any, server: Server) -> None:
    names = {f"file{i}.bin": None for i in range(4)}
    server.pages = {f"/{name}": CONTENT for name in names}
    server.together = threading.Barrier(4)  # none is answered before all four have been asked for
    card = toy.card(download=[{"url": server.url, "files": names}])
    download([card], toy.data_dir)
    assert named.missing(card, toy.data_dir) == []
    assert named.known_sums(toy.raw.parent) == dict.fromkeys(names, DIGEST)

    server.together = None
    server.pages = {"/a.bin": CONTENT}
    card = toy.card(download=[{"url": server.url, "files": {"a.bin": None, "b.bin": None}}])
    with pytest.raises(UserError, match=r"404(.|\n)*missing  .*b.bin"):
        download([card], toy.data_dir)


def test_a_download_that_fails_leaves_no_folders(toy: Any, server: Server, tmp_path: Path) -> None:
    server.pages = {}
    card = toy.card(download=[{"url": server.url, "files": {"a.bin": None}}])
    data_dir = tmp_path / "not" / "yet"
    with pytest.raises(UserError, match="404"):
        download([card], data_dir)
    assert not (tmp_path / "not").exists()


CHILD = """
import sys
from pathlib import Path
from gbench.data.files import named, raw
from gbench.data.spec import DataCard
raw.obtain(DataCard(**{card!r}), Path({data_dir!r}))
print("done")
"""


def child(card: Any, data_dir: Path, **options: Any) -> subprocess.Popen[str]:
    script = CHILD.format(card=vars(card), data_dir=str(data_dir))
    return subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_two_processes_fetch_a_file_once(wanted: Any, server: Server) -> None:
    card, data_dir = wanted
    server.pause = 0.1
    processes = [child(card, data_dir) for _ in range(2)]
    assert [process.communicate()[0] for process in processes] == ["done\n"] * 2
    assert len(server.asked) == 1
    assert (data_dir / "toy" / "big.bin").read_bytes() == CONTENT


def test_a_killed_download_holds_no_lock_and_is_continued(
    wanted: Any, server: Server, wait_until: Any
) -> None:
    card, data_dir = wanted
    server.hold.clear()
    process = child(card, data_dir)
    half = data_dir / "toy" / ".big.bin.partial"
    wait_until(lambda: half.exists() and half.stat().st_size, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    size = half.stat().st_size
    assert 0 < size < len(CONTENT)
    server.hold.set()
    assert (raw.obtain(card, data_dir) / "big.bin").read_bytes() == CONTENT
    assert server.asked[-1] == ("/big.bin", f"bytes={size}-")
    assert files_below(data_dir) == ["big.bin", "numbers.txt"]


LIMITED = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
"""


def test_a_disk_quota_that_is_used_up(wanted: Any, server: Server) -> None:
    card, data_dir = wanted
    script = LIMITED + CHILD.format(card=vars(card), data_dir=str(data_dir))
    command = [sys.executable, "-B", "-c", script]  # a .pyc, too, would be cut off there
    done = subprocess.run(command, capture_output=True, text=True)
    assert "UserError: cannot write" in done.stderr and "make room there" in done.stderr
    assert "GBENCH_DATA" in done.stderr
    assert not (data_dir / "toy" / "big.bin").exists()
    assert (raw.obtain(card, data_dir) / "big.bin").read_bytes() == CONTENT


def mounted(
    options: str, before: str, script: str, folder: Path
) -> subprocess.CompletedProcess[str]:
    """Run Python with a file system of its own at `folder`; skip where that is not permitted."""
    commands = f"mount -t tmpfs -o {options} tmpfs '{folder}' && {before} && exec \"$@\""
    inside = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", commands, "sh"]
    try:
        tried = subprocess.run([*inside, "true"], capture_output=True)
    except FileNotFoundError:
        pytest.skip("needs unshare")
    if tried.returncode:
        pytest.skip("needs the permission to mount a file system of its own")
    return subprocess.run([*inside, sys.executable, "-c", script], capture_output=True, text=True)


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs")
def test_a_full_disk(wanted: Any, server: Server) -> None:
    card, data_dir = wanted
    script = CHILD.format(card=vars(card), data_dir=str(data_dir))
    done = mounted("size=500k", "true", script, data_dir)
    assert "UserError: cannot write" in done.stderr, done.stderr
    assert "No space left on device" in done.stderr and "make room there" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs")
def test_a_read_only_data_folder(toy: Any, server: Server) -> None:
    server.pages["/more.txt"] = b"more"
    content = toy.raw.read_text()
    fill = (
        f"mkdir '{toy.data_dir}/toy' && printf '{content!s}' > '{toy.raw}' && "
        f"mount -o remount,ro '{toy.data_dir}'"
    )
    script = """
import sys
from pathlib import Path
sys.path.insert(0, {path!r})
from gbench.data.load import load
from gbench.data.spec import DataCard
from gbench.errors import UserError
card, folders = {card!r}, [Path({data_dir!r}), Path({cache_dir!r})]
print(load(DataCard(**card), *folders).statistics["num_graphs"])
card["download"][0]["files"]["more.txt"] = None
try:
    load(DataCard(**{{**card, "options": {{"scale": 2.0}}}}), *folders)
except UserError as error:
    print(error)
"""
    card = toy.card(download=[{"url": server.url, "files": {"numbers.txt": None}}])
    script = script.format(
        path=str(toy.module.parent),
        card=vars(card),
        data_dir=str(toy.data_dir),
        cache_dir=str(toy.cache_dir),
    )
    done = mounted("size=1m", fill, script, toy.data_dir)
    first, *rest = done.stdout.splitlines()
    assert first == "6", done.stderr
    assert "Read-only file system" in rest[0] and "GBENCH_DATA" in rest[0], done.stdout


def archive_of(kind: str, members: dict[str, bytes], path: Path) -> Path:
    if kind == "zip":
        path.write_bytes(zipped(members))
        return path
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        link = tarfile.TarInfo("link/big.bin")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return path


NOWHERE = [{"url": "http://127.0.0.1:9/never", "files": {"big.bin": DIGEST}}]
IN_ZIP = [{"url": "http://127.0.0.1:9/official.zip", "inside": "o", "files": {"big.bin": DIGEST}}]


@pytest.mark.parametrize("download", [NOWHERE, IN_ZIP], ids=["file", "archive"])
@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
@pytest.mark.parametrize("inside", ["", "some/folder/"])
def test_a_local_archive_is_a_source(
    toy: Any, tmp_path: Path, kind: str, inside: str, download: Any
) -> None:
    escaped = tmp_path / "escaped"
    evil = {"../../../escaped": b"x", str(escaped): b"x"}
    archive = archive_of(kind, {f"{inside}big.bin": CONTENT, **evil}, tmp_path / f"mine.{kind}")
    before = {str(path) for path in tmp_path.rglob("*")}
    folder = raw.obtain(toy.card(download=download), toy.data_dir, str(archive))
    assert (folder / "big.bin").read_bytes() == CONTENT
    assert {str(path) for path in tmp_path.rglob("*")} - before == {str(folder / "big.bin")}
    assert not escaped.exists()


@pytest.mark.parametrize("where", ["", "toy"])
def test_a_local_folder_is_a_source(toy: Any, tmp_path: Path, where: str) -> None:
    mirror = tmp_path / "mirror"
    (mirror / where).mkdir(parents=True)
    (mirror / where / "big.bin").write_bytes(CONTENT)
    folder = raw.obtain(toy.card(download=NOWHERE), toy.data_dir, str(mirror))
    assert (folder / "big.bin").read_bytes() == CONTENT


def test_a_folder_of_official_archives_is_a_source(toy: Any, tmp_path: Path) -> None:
    (tmp_path / "mirror").mkdir()
    archive_of("zip", {"o/big.bin": CONTENT}, tmp_path / "mirror" / "official.zip")
    folder = raw.obtain(toy.card(download=IN_ZIP), toy.data_dir, str(tmp_path / "mirror"))
    assert (folder / "big.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("path", ["/m/big.bin", "/m/official.zip", "/m/any.tar.gz"])
def test_a_mirror_is_a_source(toy: Any, server: Server, tmp_path: Path, path: str) -> None:
    content, source, card = CONTENT, f"{server.url}/m/", toy.card(download=NOWHERE)
    if path.endswith("official.zip"):
        content, card = zipped({"o/big.bin": CONTENT}), toy.card(download=IN_ZIP)
    elif path.endswith("tar.gz"):
        content = archive_of("tar.gz", {"x/big.bin": CONTENT}, tmp_path / "a").read_bytes()
        source = f"{server.url}{path}"
    server.pages[path] = content
    folder = raw.obtain(card, toy.data_dir, source)
    assert (folder / "big.bin").read_bytes() == CONTENT
    assert server.asked == [(path, None)]


def test_a_source_is_verified_like_the_official_place(toy: Any, tmp_path: Path) -> None:
    card = toy.card(download=NOWHERE)
    (tmp_path / "big.bin").write_bytes(CONTENT[:-1])
    with pytest.raises(UserError, match=f"big.bin came with sha256 .*, expected {DIGEST}"):
        raw.obtain(card, toy.data_dir, str(tmp_path))
    twice = archive_of("zip", {"a/big.bin": CONTENT, "b/big.bin": CONTENT}, tmp_path / "two.zip")
    with pytest.raises(UserError, match=r"several files 'big.bin': a/big.bin, b/big.bin"):
        raw.obtain(card, toy.data_dir, str(twice))
    link = archive_of("tar.gz", {"readme": b""}, tmp_path / "link.tar.gz")
    with pytest.raises(UserError, match=r"no item named 'big.bin' in it, but readme"):
        raw.obtain(card, toy.data_dir, str(link))
    short = tmp_path / "short.zip"
    short.write_bytes(twice.read_bytes()[:-500_000])
    with pytest.raises(UserError, match="not a zip file"):
        raw.obtain(card, toy.data_dir, str(short))
    (tmp_path / "nothing").mkdir()
    with pytest.raises(UserError, match=r"has no big.bin"):
        raw.obtain(card, toy.data_dir, str(tmp_path / "nothing"))
    assert files_below(toy.data_dir) == ["numbers.txt"]


def test_the_word_data_source_says_nothing_of_the_dataset(tmp_path: Path) -> None:
    from gbench.config.compose import compose
    from gbench.config.identity import identity, run_name

    place = tmp_path / "a=b, c.zip"  # no trouble, whatever Hydra makes of such characters
    place.touch()
    plain = compose(["model=gcn", "data=cora"])
    sourced = compose(["model=gcn", "data=cora", f"data.source={place}"])
    assert sourced["data_source"] == str(place)
    assert identity(sourced) == identity(plain) and run_name(sourced) == run_name(plain)
    assert sourced["data"] == plain["data"]
    with pytest.raises(UserError, match="there is no such archive or folder"):
        compose(["data=cora", "data.source=/no/such/place"])
    assert compose(["data=cora", "data.source=https://mirror.example/x"])["data_source"]
