#!/usr/bin/env bash
# hypernetx 2.4.3: a hypergraph in a file on the disk cannot be read, nor written, without the internet.
#
# from_hif and to_hif check the file against the schema of the Hypergraph Interchange Format, which they download at each call,
# from the main branch of a repository. The package holds no copy, and there is no option to do without the check: on a node of
# a cluster without a route outside, code that ran on a laptop fails, and what is valid is what that branch says today.
#
# Seen, with connections refused by Python: from_hif(filename=...) raises ConnectionError; to_hif of a graph too.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet hypernetx==2.4.3
cd "$folder"
echo '{"network-type": "undirected", "incidences": [{"edge": "e", "node": "a"}, {"edge": "e", "node": "b"}]}' > graph.json
PYTHONWARNINGS=ignore env/bin/python - 2> told <<'PY' || { cat told; exit 1; }
import socket

import hypernetx
import requests


def refused(host, *_, **__):
    raise socket.gaierror(f"no route to {host}")


socket.getaddrinfo = refused
graph = hypernetx.Hypergraph({"e": ["a", "b"]})
answers = []
for call in (lambda: hypernetx.from_hif(filename="graph.json"), lambda: hypernetx.to_hif(graph, filename="written.json")):
    try:
        call()
        answers.append("done")
    except requests.ConnectionError as error:
        answers.append(type(error).__name__)
print(answers)
assert answers == ["ConnectionError", "ConnectionError"], "the behaviour has changed"
PY
