"""The page from a server of one's own: read-only, on this machine only unless told otherwise.

It answers `/`, the page, and `/state`, what a page asks every two seconds: the version of the
records and which runs are being trained. Nothing is read from the disk by a path of a request.
"""

from __future__ import annotations

import errno
import ipaddress
import json
import socket
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from gbench.board.page.live import Live
from gbench.errors import UserError

LOOPBACK = "127.0.0.1"
PORT = 8642
_METHODS = ("GET", "HEAD")
_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "frame-ancestors 'none'",  # the page's own policy is in its head
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def serve(live: Live, host: str, port: int) -> int:
    """Answer until Ctrl-C, and return the exit code, 0; UserError as of `make_server`."""
    with make_server(live, host, port) as server:
        name = f"[{host}]" if ":" in host else host
        print(f"http://{name}:{server.server_address[1]}/   (Ctrl-C ends it)", flush=True)
        if not _is_loopback(host):
            print(
                f"gbench: whoever can reach {host} can read these results; --host {LOOPBACK} "
                "keeps them to this machine",
                file=sys.stderr,
            )
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()
    return 0


def make_server(live: Live, host: str, port: int) -> ThreadingHTTPServer:
    """A server that listens; raises UserError if the address or the port cannot be had."""

    class Handler(_Handler):
        page = live
        own_names = frozenset({"localhost", host.lower(), socket.gethostname().lower()})

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

        def server_bind(self) -> None:  # HTTPServer's asks the name service, for seconds
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.socket.bind(self.server_address)
            self.server_address = self.socket.getsockname()

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Say nothing of a reader who left, and what happened otherwise in one line."""
            error = sys.exception()
            if not isinstance(error, OSError):
                print(f"gbench: {type(error).__name__}: {error}", file=sys.stderr)

    try:
        return Server((host, port), Handler)
    except OverflowError:
        raise UserError(
            f"there is no port {port}: --port takes 0 (any free one) to 65535"
        ) from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UserError(
                f"port {port} is in use, perhaps by another `gbench leaderboard --serve`: "
                "choose another with --port N, or --port 0 for any free one"
            ) from None
        raise UserError(
            f"cannot serve at {host}, port {port}: {error.strerror}. --host takes an address of "
            f"this machine ({LOOPBACK} by default), --port a number from 1024 on, or 0"
        ) from None


class _Handler(BaseHTTPRequestHandler):
    page: Live
    own_names: frozenset[str]
    server_version = "gbench"
    sys_version = ""
    timeout = 20  # seconds that a silent connection may hold its thread

    def parse_request(self) -> bool:
        """Refuse what is no reading, and what was sent to another host than this.

        A page of the internet whose name was made to point here (DNS rebinding) sends its own name.
        """
        if not super().parse_request():
            return False
        if self.command not in _METHODS:
            self.close_connection = True  # its body, if it has one, is not read
            self._answer(HTTPStatus.METHOD_NOT_ALLOWED, "read-only\n", Allow=", ".join(_METHODS))
            return False
        if not self._is_for_us(self.headers.get("Host", "")):
            self._answer(HTTPStatus.MISDIRECTED_REQUEST, "not a name of this server\n")
            return False
        return True

    def _is_for_us(self, host: str) -> bool:
        name = host.lower()
        if not name.endswith("]"):
            name, _, port = name.rpartition(":") if ":" in name else (name, "", "")
            if port and not port.isdecimal():
                return False
        if name in self.own_names:
            return True
        try:  # an address is no name that another could have made to point here
            ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
        except ValueError:
            return False
        return True

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/":
            version, text = self.page.page()
            tag = f'"{version}"'
            if self.headers.get("If-None-Match") == tag:
                self._answer(HTTPStatus.NOT_MODIFIED, "", ETag=tag)
            else:
                self._answer(HTTPStatus.OK, text, "text/html", ETag=tag)
        elif path == "/state":
            version, running = self.page.state()
            text = json.dumps({"version": version, "running": running})
            self._answer(HTTPStatus.OK, text, "application/json")
        else:
            self._answer(HTTPStatus.NOT_FOUND, "there is only / here\n")

    do_HEAD = do_GET

    def _answer(
        self, status: HTTPStatus, text: str, kind: str = "text/plain", **headers: str
    ) -> None:
        body = text.encode()
        self.send_response(status)
        for name, value in {**_HEADERS, **headers}.items():
            self.send_header(name, value)
        if status != HTTPStatus.NOT_MODIFIED:
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a page that polls would fill the terminal."""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
