# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sandbox in this process, without a socket between: half the time, and nothing happens in another order."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from email.utils import formatdate
from typing import Any
from urllib.parse import unquote, urlsplit

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import ConnectionClosedError
from spot_sandbox.__main__ import MOTO_SETTINGS

URL = "http://127.0.0.1:9"
"""Where clients believe that it is; nothing is sent there."""


class Body:
    """A body that was read already, as botocore takes it."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def stream(self) -> Iterator[bytes]:
        yield self.content


class Sandbox:
    """The sandbox, from its start, with a clock that stands still until it is stepped. There is one in a process."""

    def __init__(self, seed: int, regions: Sequence[str], start: str) -> None:
        for name, value in MOTO_SETTINGS.items():
            os.environ.setdefault(name, value)
        from spot_sandbox import app, clock, control, faults, market  # after the settings: moto reads them on import

        from . import shortcuts

        market.configure(seed, regions)
        control.configure(seed, list(regions), 0.0, datetime.fromisoformat(start).timestamp())
        control.reset()
        self._app, self._clock, self._faults, self._shortcuts = app.Application(), clock, faults, shortcuts

    def ask(self, path: str, **body: Any) -> Any:
        """Its control interface: POST with a body, GET without."""
        method, data = ("POST", json.dumps(body).encode()) if body else ("GET", b"")
        status, _headers, content = self._call(method, f"{URL}/sandbox/{path}", {}, data)
        if status >= 400:
            raise ValueError(json.loads(content)["error"])
        return json.loads(content)

    def put_metric_data(self, region: str, namespace: str, data: Sequence[dict[str, Any]]) -> None:
        """Values for CloudWatch, whatever is wrong with its API."""
        self._shortcuts.put_metric_data(region, {"Namespace": namespace, "MetricData": data})

    def connect(self, client: Any, short: bool, look: Callable[[str], None]) -> None:
        """Let a boto3 client ask it; ``short``: by `shortcuts` too. ``look`` is told the operation before each call."""
        client.meta.events.register("before-send", self._send, unique_id="chaos-sandbox")
        over_the_wire = client._make_api_call
        service, region = client.meta.service_model.service_name, client.meta.region_name

        def call(operation: str, asked: dict[str, Any]) -> dict[str, Any]:
            look(operation)
            found = None
            if short and not self._faults.current():
                found = self._shortcuts.answer(service, operation, region, asked)
            return over_the_wire(operation, asked) if found is None else found

        client._make_api_call = call

    def _send(self, request: AWSPreparedRequest, **_event: Any) -> AWSResponse:
        body = request.body or b""
        data = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else body.read()
        try:
            status, headers, content = self._call(request.method, request.url, request.headers, data)
        except ConnectionError as closed:
            raise ConnectionClosedError(endpoint_url=request.url, error=closed) from None
        return AWSResponse(request.url, status, headers, Body(content))

    def _call(self, method: str, url: str, headers: Any, body: bytes) -> tuple[int, dict[str, str], bytes]:
        parts = urlsplit(url)
        environ = {
            "REQUEST_METHOD": method,
            "PATH_INFO": unquote(parts.path) or "/",
            "QUERY_STRING": parts.query,
            "SERVER_NAME": parts.hostname,
            "SERVER_PORT": str(parts.port),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
            "wsgi.url_scheme": parts.scheme,
            "HTTP_HOST": parts.netloc,
        }
        for name, value in headers.items():
            text = value.decode() if isinstance(value, bytes) else str(value)
            key = name.upper().replace("-", "_")
            environ["CONTENT_TYPE" if key == "CONTENT_TYPE" else f"HTTP_{key}"] = text
        began: list[Any] = []
        content = b"".join(self._app(environ, lambda *answer: began.extend(answer[:2])))
        shown = {name.lower(): value for name, value in began[1]}
        shown.setdefault("date", formatdate(self._clock.time(), usegmt=True))
        return int(began[0].split()[0]), shown, content
