"""The server without a browser: what it answers, what it refuses, and when it makes a page anew."""

import fcntl
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from gbench.board import tables as leaderboard
from gbench.board.page import live as live_module
from gbench.board.page.live import Live
from gbench.board.page.serve import make_server, serve
from gbench.errors import UserError
from gbench.records import find as store


@pytest.fixture
def runs(make_record, save, tmp_path):
    save(make_record(run="first"), tmp_path / "runs")
    return tmp_path / "runs"


@pytest.fixture
def live(runs, monkeypatch):
    """A Live that looks each time it is asked and counts how often it loads the records."""
    monkeypatch.setattr(live_module, "_LOOK_EVERY", 0)
    monkeypatch.setattr(live_module, "_REST", 0)

    def load():
        made.loads += 1
        return leaderboard.rows(store.find([runs])[0]), []

    made = Live([str(runs)], load)
    made.loads = 0
    return made


@pytest.fixture
def ask(live):
    """`ask("GET", "/")`: status, headers and body of one answer, whatever the path looks like."""
    with make_server(live, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

        def ask(method, path, body=None, **headers):
            connection = http.client.HTTPConnection(*server.server_address)
            connection.putrequest(method, path, skip_host="Host" in headers)
            for name, value in headers.items():
                connection.putheader(name.replace("_", "-"), value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            return answer.status, dict(answer.getheaders()), content

        yield ask
        server.shutdown()


def test_the_page_is_answered_with_its_version(ask, live):
    status, headers, body = ask("GET", "/")
    assert status == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["X-Content-Type-Options"] == "nosniff"
    version = headers["ETag"].strip('"')
    assert f'<html lang="en" data-version="{version}">' in body.decode()
    assert json.loads(ask("GET", "/state")[2]) == {"version": version, "running": []}
    assert ask("GET", "/?anything")[2] == body
    assert ask("GET", "/", If_None_Match=f'"{version}"')[::2] == (304, b"")
    assert ask("GET", "/", If_None_Match='"other"')[0] == 200
    status, of_head, nothing = ask("HEAD", "/")
    assert (status, nothing, of_head["Content-Length"]) == (200, b"", str(len(body)))
    assert live.loads == 1


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "NONSENSE"]
)
def test_it_is_read_only(ask, runs, method):
    status, headers, _ = ask(method, "/", b"x=1")
    assert (status, headers["Allow"]) == (405, "GET, HEAD")
    assert [path.name for path in runs.iterdir()] == ["first"]


@pytest.mark.parametrize(
    "path",
    [
        "/../../../../etc/passwd",
        "/..%2f..%2fetc/passwd",
        "/first/record.json",
        "/runs/first/record.json",
        "//etc/passwd",
        "/etc/passwd",
        "/.",
        "/%00",
        "/state/",
        "/index.html",
        "http://127.0.0.1/etc/passwd",
        "file:///etc/passwd",
        "*",
    ],
)
def test_no_path_reaches_the_disk(ask, path):
    status, _, body = ask("GET", path)
    assert (status, body) == (404, b"there is only / here\n")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:8642", 200),  # another port: a tunnel
        ("127.0.0.1:1", 200),
        ("[::1]:80", 200),
        ("::1", 421),
        ("evil.example", 421),
        ("evil.example:80", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost.evil.example", 421),
        ("localhost:80@evil.example", 421),
        ("", 421),
    ],
)
def test_only_its_own_names_are_answered(ask, host, status):
    for path in ("/", "/state"):
        assert ask("GET", path, Host=host)[0] == status


def test_a_request_without_a_host_is_refused(ask):
    assert ask("GET", "/", Host="")[0] == 421


def test_a_version_lasts_until_a_record_comes_goes_or_changes(live, runs, make_record, save):
    first = live.page()
    (runs / "first" / "metrics.csv").write_text("step,train_loss,valid\n")
    (runs / "unfinished").mkdir()
    assert live.page() == first
    assert live.loads == 1
    save(make_record(run="second", model="zebra"), runs)
    second = live.page()
    assert second[0] != first[0]
    assert "zebra" in second[1]
    assert "zebra" not in first[1]
    path = runs / "second" / "record.json"
    path.write_text(path.read_text().replace("zebra", "hello"))
    third = live.page()
    assert "hello" in third[1]
    (runs / "second").rename(runs / "replaced")
    fourth = live.page()
    assert "hello" not in fourth[1]
    assert len({first[0], second[0], third[0]}) == 3
    assert fourth[0] == first[0]  # as it was
    assert live.loads == 4


def test_two_servers_never_share_a_version(runs):
    def load():
        return [], []

    assert Live([str(runs)], load).state()[0] != Live([str(runs)], load).state()[0]


def test_a_page_that_was_dear_is_not_made_again_at_once(live, runs, make_record, save, monkeypatch):
    monkeypatch.setattr(live_module, "_REST", 1e6)
    first = live.page()
    save(make_record(run="second"), runs)
    assert live.page() == first
    assert live.state()[0] == first[0]  # so that no page asks for what is not there yet
    live._due = time.monotonic()
    assert live.page()[0] == live.state()[0] != first[0]


def test_runs_in_training_are_told(live, runs):
    (runs / "busy").mkdir()
    with (runs / "busy" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert live.state()[1] == ["busy"]
    assert live.state()[1] == []


def test_a_runs_folder_may_come_later(tmp_path, make_record, save, monkeypatch):
    monkeypatch.setattr(live_module, "_LOOK_EVERY", 0)
    monkeypatch.setattr(live_module, "_REST", 0)
    folder = tmp_path / "later"
    live = Live([str(folder)], lambda: (leaderboard.rows(store.find([folder])[0]), ["a note"]))
    assert "cannot read the runs folder" in live.page()[1]
    save(make_record(), folder)
    assert "a note" in live.page()[1]
    assert "gcn" in live.page()[1]


def test_many_may_ask_at_once(ask, live):
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: ask("GET", "/"), range(48)))
    assert {status for status, _, _ in answers} == {200}
    assert live.loads == 1


def test_an_address_that_cannot_be_had_says_what_to_type(live):
    with make_server(live, "127.0.0.1", 0) as server:
        port = server.server_address[1]
        with pytest.raises(UserError, match=rf"port {port} is in use.*--port 0"):
            make_server(live, "127.0.0.1", port)
    with pytest.raises(UserError, match=r"no port 70000: --port takes"):
        make_server(live, "127.0.0.1", 70000)
    with pytest.raises(UserError, match=r"cannot serve at 192\.0\.2\.1.*--host"):
        make_server(live, "192.0.2.1", 0)


@pytest.mark.parametrize(("host", "warned"), [("127.0.0.1", False), ("0.0.0.0", True)])
def test_an_open_address_is_warned_of(live, capsys, monkeypatch, host, warned):
    def interrupt(self):
        raise KeyboardInterrupt

    monkeypatch.setattr("http.server.ThreadingHTTPServer.serve_forever", interrupt)
    assert serve(live, host, 0) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith(f"http://{host}:")
    assert ("whoever can reach 0.0.0.0 can read" in captured.err) == warned


def test_ctrl_c_ends_the_command(runs):
    command = [sys.executable, "-m", "gbench", "leaderboard", str(runs), "--serve", "--port", "0"]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            line = process.stdout.readline()
            assert line.startswith("http://127.0.0.1:")
            port = int(line.split("/")[2].split(":")[1])
            connection = http.client.HTTPConnection("127.0.0.1", port)
            connection.request("GET", "/")
            assert b"<h2" in connection.getresponse().read()
            process.send_signal(signal.SIGINT)
            assert process.wait() == 0
            assert process.stderr.read() == ""
        finally:
            process.kill()


def test_options_that_do_not_belong_together_are_told(runs, capsys):
    from gbench.cli.main import main

    for words, told in [
        (["--port", "1"], "--port needs --serve"),
        (["--host", "::1"], "--host needs --serve"),
        (["--serve", "--format", "csv"], "--serve shows the html page"),
        (["--serve", "--output", "x"], "--serve shows the html page"),
        (["--serve", "--from", "wandb:me/mine"], "--serve watches folders"),
    ]:
        assert main(["leaderboard", str(runs), *words]) == 2
        assert told in capsys.readouterr().err


def timeless(text):
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "", text)


def test_output_is_the_file_and_nothing_else(runs, capsys):
    from gbench.cli.main import main

    for words in (["--format", "html"], ["--format", "csv"], []):
        main(["leaderboard", str(runs), *words])
        printed = capsys.readouterr().out
        file = runs.parent / "new folder" / "out"
        assert main(["leaderboard", str(runs), *words, "--output", str(file)]) == 0
        assert capsys.readouterr().out == ""
        assert timeless(file.read_text()) == timeless(printed)
        assert [path.name for path in file.parent.iterdir()] == ["out"]
    assert main(["leaderboard", str(runs), "--output", str(runs)]) == 2
    assert "cannot write" in capsys.readouterr().err
