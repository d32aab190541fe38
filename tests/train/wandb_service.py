"""A stand-in for Weights & Biases' server: the part of its HTTP protocol that gbench's path needs.

Not the real service. It speaks what wandb's own client (wandb-core, 0.31) was seen to ask while
uploading and listing runs, and keeps what it was told: GraphQL for runs and files, `file_stream`
for curves, summary and end of a run. A run's state follows the exit code, as wandb documents it.
"""

from __future__ import annotations

import gzip
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Run:
    name: str
    title: str = ""
    config: str = "{}"
    summary: str = "{}"
    tags: list[str] = field(default_factory=list)
    group: str | None = None
    job_type: str | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    exit_code: int | None = None

    @property
    def state(self) -> str:
        if self.exit_code is None:
            return "running"
        return "failed" if self.exit_code else "finished"

    def settings(self) -> dict[str, Any]:
        return {key: entry["value"] for key, entry in json.loads(self.config).items()}


class Service(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.runs: dict[str, Run] = {}
        self.refuse: set[str] = set()  # runs whose uploads the server does not accept

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are no news."""


@contextmanager
def serving() -> Iterator[Service]:
    with Service() as service:
        threading.Thread(target=service.serve_forever, daemon=True).start()
        yield service
        service.shutdown()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Service

    def log_message(self, *words: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer({})

    def do_PUT(self) -> None:
        self._body()
        self._answer({})

    def do_POST(self) -> None:
        body = self._body()
        if self.path == "/graphql":
            question = json.loads(body)
            self._graphql(question["query"], question.get("variables") or {})
        elif self.path.endswith("/file_stream"):
            self._file_stream(self.server.runs[self.path.split("/")[-2]], json.loads(body))
        else:
            self._answer({})

    def _body(self) -> bytes:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _answer(self, content: dict[str, Any], status: int = 200) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _file_stream(self, run: Run, told: dict[str, Any]) -> None:
        files = told.get("files") or {}
        if history := files.get("wandb-history.jsonl"):
            run.history[history["offset"] :] = map(json.loads, history["content"])
        if summary := files.get("wandb-summary.json"):
            run.summary = summary["content"][-1]
        if told.get("complete"):
            run.exit_code = told["exitcode"]
        self._answer({})

    def _graphql(self, query: str, given: dict[str, Any]) -> None:
        found = re.search(r"(?:query|mutation)\s+(\w+)", query)
        assert found is not None
        answer = getattr(self, f"_{found[1]}", None)
        if answer is None:  # questions about the user and the server's abilities
            viewer = {"id": "v", "entity": "me", "username": "me", "email": "", "flags": "{}"}
            data = {"viewer": viewer | {"teams": {"edges": []}}, "serverInfo": {"features": []}}
            self._answer({"data": data})
        elif given.get("name") in self.server.refuse:
            self._answer({"errors": [{"message": "permission denied"}]}, status=403)
        else:
            self._answer({"data": answer(given)})

    def _RunResumeStatus(self, given: dict[str, Any]) -> dict[str, Any]:
        run = self.server.runs.get(given["name"])
        bucket = run and {
            **self._node(run),
            "logLineCount": 0,
            "historyLineCount": len(run.history),
            "eventsLineCount": 0,
            "historyTail": json.dumps([json.dumps(row) for row in run.history[-1:]]),
            "eventsTail": "[]",
            "notes": None,
            "wandbConfig": '{"t": 1}',
        }
        return {"model": {"id": "p", "name": given["project"], **_OWNER, "bucket": bucket}}

    def _UpsertBucket(self, given: dict[str, Any]) -> dict[str, Any]:
        new = given["name"] not in self.server.runs
        run = self.server.runs.setdefault(given["name"], Run(given["name"]))
        run.exit_code = None
        run.title = given.get("displayName") or run.title
        run.config = given.get("config") or run.config
        run.tags = given.get("tags") or run.tags
        run.group = given.get("groupName") or run.group
        run.job_type = given.get("jobType") or run.job_type
        project = {"id": "p", "name": given["project"], **_OWNER}
        bucket = {**self._node(run), "description": None, "project": project}
        count = {"historyLineCount": len(run.history)}
        return {"upsertBucket": {"bucket": bucket | count, "inserted": new}}

    def _CreateRunFiles(self, given: dict[str, Any]) -> dict[str, Any]:
        files = [{"name": n, "uploadUrl": f"{self.server.url}/put/{n}"} for n in given["files"]]
        return {"createRunFiles": {"runID": "r", "uploadHeaders": [], "files": files}}

    def _Runs(self, given: dict[str, Any]) -> dict[str, Any]:
        if given["project"] != "gbench":
            return {"project": None}
        runs = sorted(self.server.runs.values(), key=lambda run: run.name)
        first = int(given.get("cursor") or 0)
        page = runs[first : first + given["perPage"]]
        last = first + len(page)
        edges = [{"node": self._node(run), "cursor": str(last)} for run in page]
        ends = {"endCursor": str(last), "hasNextPage": last < len(runs)}
        count = {"internalId": "1", "runCount": len(runs), "readOnly": False}
        return {"project": count | {"runs": {"edges": edges, "pageInfo": ends}}}

    def _node(self, run: Run) -> dict[str, Any]:
        return {
            "id": run.name,
            "projectId": "1",
            "name": run.name,
            "displayName": run.title,
            "state": run.state,
            "config": run.config,
            "summaryMetrics": run.summary,
            "systemMetrics": "{}",
            "tags": run.tags,
            "group": run.group,
            "jobType": run.job_type,
            "sweepName": None,
            "commit": None,
            "readOnly": False,
            "createdAt": "2026-11-01T00:00:00",
            "heartbeatAt": "2026-11-01T00:00:00",
            "description": None,
            "notes": None,
            "historyLineCount": len(run.history),
            "historyKeys": {},
            "user": {"name": "me", "username": "me"},
        }


_OWNER = {"entity": {"id": "e", "name": "me"}}
