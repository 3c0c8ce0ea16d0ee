"""A web application without dependencies: says hello, and where it runs; `gunicorn hello:application` serves it."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterable
from typing import Any


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """WSGI: `/health` answers while the process can serve, `/` says which host answered, all else is not found."""
    answers = {"/health": {"status": "ok"}, "/": {"hello": "spot", "host": socket.gethostname()}}
    answer = answers.get(environ.get("PATH_INFO") or "/")
    body = json.dumps(answer or {"error": "not found"}).encode() + b"\n"
    start_response(
        "200 OK" if answer else "404 Not Found",
        [("Content-Type", "application/json"), ("Content-Length", str(len(body)))],
    )
    return [body]
