"""The WSGI application: control requests go to ``control``, calls to the classes in ``services``, the rest to moto."""

from __future__ import annotations

import io
import json
import logging
import re
import socket
import struct
import uuid
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

import moto.backends
import moto.core.responses
from botocore.exceptions import UnknownServiceError
from botocore.loaders import Loader
from moto.core.exceptions import ServiceException
from moto.core.request import Request
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.wrappers import Response

from spot_sandbox import calls, clock, control, faults, services
from spot_sandbox.services import cloudtrail

log = logging.getLogger("spot_sandbox")

SERVICES: dict[str, type] = {}
"""Signing name of a service -> the class that answers for it; see ``services``."""

BOTO_NAMES = {
    "elasticloadbalancing": "elbv2",
    "monitoring": "cloudwatch",
    "elasticfilesystem": "efs",
    "eventbridge": "events",
    "servicequotas": "service-quotas",
    "tagging": "resourcegroupstaggingapi",
}
"""Where a signing name is not the name that boto3 users know."""

IAM_PREFIXES = {"monitoring": "cloudwatch", "email": "ses", "tagging": "tag"}
"""Where the prefix of a service's actions in IAM is not its signing name."""


READS = ("Describe", "Get", "BatchGet", "List")

WAITING = {("sqs", "ReceiveMessage")}
"""Calls that wait inside moto: the lock is not held for them."""


# moto looks through its folders and its classes on every call; they do not change
moto.backends.list_of_moto_modules = lambda modules=tuple(moto.backends.list_of_moto_modules()): modules
moto.core.responses.method_names_from_class = lru_cache(maxsize=None)(moto.core.responses.method_names_from_class)


def register() -> None:
    """Fill ``SERVICES`` from the modules in ``services``."""
    parts: dict[str, list[type]] = {}
    for module in services.modules():
        for service, response in getattr(module, "RESPONSES", {}).items():
            parts.setdefault(service, []).append(response)
    for service, classes in parts.items():
        SERVICES[service] = classes[0] if len(classes) == 1 else type(service, tuple(classes), {})


class ServerRequest(Request):
    """A request that came over HTTP: the server adds the date, not moto."""

    from_wsgi_server = True


class Call:
    """What the overlay must know of an API call before it is answered."""

    def __init__(self, environ: dict[str, Any], body: bytes) -> None:
        scope = _credential_scope(environ)
        self.region = scope[0] if scope else "us-east-1"
        self.signing_name = scope[1].lower() if scope else ""
        content_type = environ.get("CONTENT_TYPE") or ""
        form = parse_qs(body.decode("utf-8", "replace")) if content_type.startswith("application/x-www-form") else {}
        self.unsigned = None if scope else _unsigned(environ)
        if self.unsigned:
            self.signing_name, self.region, self.protocol, self.operation = self.unsigned[1:]
            self.service = self.signing_name
            return
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        path = environ.get("PATH_INFO", "")
        if "cbor" in content_type or environ.get("HTTP_SMITHY_PROTOCOL") == "rpc-v2-cbor":
            self.protocol, self.operation = "cbor", path.rpartition("/")[2]
        elif target:
            self.protocol, self.operation = "json", target.rpartition(".")[2]
        elif "Action" in form:
            self.protocol, self.operation = ("ec2" if self.signing_name == "ec2" else "query"), form["Action"][0]
        else:
            self.protocol = "xml" if self.signing_name in ("s3", "route53", "cloudfront") else "json"
            self.operation = _rest_operation(
                BOTO_NAMES.get(self.signing_name, self.signing_name), environ["REQUEST_METHOD"], path
            )
        self.service = BOTO_NAMES.get(self.signing_name, self.signing_name)
        if self.service == "ses" and path.startswith("/v2/"):
            self.service, self.operation = "sesv2", _rest_operation("sesv2", environ["REQUEST_METHOD"], path)
        if self.service == "elbv2" and form.get("Version") == ["2012-06-01"]:
            self.service = "elb"

    @property
    def action(self) -> str:
        """As IAM policies name it: ``elasticloadbalancing:CreateLoadBalancer``."""
        return f"{IAM_PREFIXES.get(self.signing_name, self.signing_name)}:{self.operation}"


class Application:
    """AWS on one port; every call is counted, may be struck by a fault, and runs alone (see ``clock.LOCK``)."""

    def __init__(self) -> None:
        register()
        self.moto = DomainDispatcherApplication(create_backend_app)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        body = Request(environ).get_data(cache=False)  # read to its end, or the connection cannot be used again
        environ["wsgi.input"] = io.BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        if environ.get("PATH_INFO", "").startswith("/sandbox"):
            with clock.LOCK:
                return control.answer(environ, body)(environ, start_response)
        call = Call(environ, body)
        with clock.LOCK:
            calls.count(call.service or "unsigned", call.operation)
            rule = faults.strike(call.service, call.operation, call.region)
        if rule and rule.kind in ("latency", "timeout"):
            faults.wait(rule)
            if rule.kind == "timeout":
                return _hang_up(environ)
        elif rule and rule.kind != "lost":
            refused = error(call, faults.fault(rule.kind, call.service, call.action, call.protocol))
            if rule.kind == "denied":
                with clock.LOCK:
                    cloudtrail.note(call, environ, body, refused)
            return refused(environ, start_response)
        response = self._respond(call, environ)
        with clock.LOCK:
            cloudtrail.note(call, environ, body, response)
        if rule and rule.kind == "lost":
            faults.wait(rule)
            return _hang_up(environ)
        return response(environ, start_response)

    def _respond(self, call: Call, environ: dict[str, Any]) -> Response:
        """The answer, or the error that AWS would give instead of a crash."""
        with nullcontext() if (call.service, call.operation) in WAITING else clock.LOCK:
            try:
                answer = self._answer(call, environ)
                if not call.operation.startswith(READS) and (call.service, call.operation) not in WAITING:
                    clock.tell_changed()
                return answer
            except NotImplementedError as missing:
                log.warning("not in the sandbox: %s", call.action)
                message = f"The sandbox does not have {call.action}: {missing}"
                return error(call, faults.Fault(_unsupported(call), message, 400))
            except ServiceException as refused:  # raised where moto does not expect one
                return error(call, faults.Fault(refused.code, refused.message, getattr(refused, "status", 400)))
            except Exception as crash:  # a 5xx would be retried: say at once what is broken
                log.exception("%s failed in the sandbox", call.action)
                message = f"{call.action} failed in the sandbox: {type(crash).__name__}: {crash}"
                return error(call, faults.Fault("SandboxFailure", message, 400))

    def _answer(self, call: Call, environ: dict[str, Any]) -> Response:
        if call.unsigned:
            return call.unsigned[0](environ)
        responder = SERVICES.get(call.signing_name)
        if responder is None or call.service == "elb":
            if call.signing_name and not _known_to_moto(self.moto, call.signing_name):
                raise NotImplementedError("moto has no such service")
            return Response.from_app(self.moto, environ)
        request = ServerRequest(environ)
        status, headers, body = responder.dispatch(request, request.url, request.headers)
        return Response(body, status=int(status), headers=[(k, str(v)) for k, v in headers.items() if k != "status"])


def _known_to_moto(moto: DomainDispatcherApplication, service: str) -> bool:
    if service not in _known:
        _known[service] = bool(moto.get_backend_for_host(f"{service}.us-east-1.amazonaws.com"))
    return _known[service]


_known: dict[str, bool] = {}


def _credential_scope(environ: dict[str, Any]) -> tuple[str, str] | None:
    """(region, signing name) of a signed request or of a presigned URL."""
    scope = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2].partition(",")[0]
    if not scope:
        scope = parse_qs(environ.get("QUERY_STRING", "")).get("X-Amz-Credential", [""])[0]
    parts = scope.split("/")
    return (parts[2], parts[3]) if len(parts) >= 5 else None


Unsigned = tuple[Callable[[dict[str, Any]], Response], str, str, str, str]
"""Who answers it, and of what service, region, protocol and operation it is."""


def _unsigned(environ: dict[str, Any]) -> Unsigned | None:
    """What a request without credentials asks for, where a service takes such."""
    for module in services.modules():
        found = getattr(module, "unsigned", lambda _environ: None)(environ)
        if found:
            return found
    return None


def _rest_operation(service: str, method: str, path: str) -> str:
    """The operation that a REST request asks for; method and path where botocore does not know it (or has many, S3)."""
    known = ((name, m, pattern) for name, m, pattern in _rest_patterns(service) if m == method)
    return next((name for name, _method, pattern in known if pattern.fullmatch(path)), f"{method} {path}")


@lru_cache(maxsize=None)
def _rest_patterns(service: str) -> list[tuple[str, str, re.Pattern[str]]]:
    """(operation, method, path) of a REST service; paths with fewer parameters first."""
    if service in ("", "s3"):
        return []
    try:
        model = Loader().load_service_model(service, "service-2")
    except UnknownServiceError:
        return []
    found = []
    for name, operation in model["operations"].items():
        uri = operation["http"]["requestUri"].partition("?")[0]
        parts = re.split(r"({[^}]+})", uri.rstrip("/"))
        pattern = "".join((".+" if "+" in p else "[^/]+") if p.startswith("{") else re.escape(p) for p in parts)
        found.append((len(parts), name, operation["http"]["method"], re.compile(pattern + "/?")))
    return [(name, method, pattern) for _number, name, method, pattern in sorted(found, key=lambda f: f[:2])]


def _unsupported(call: Call) -> str:
    return "UnsupportedOperation" if call.protocol == "ec2" else "UnknownOperationException"


def error(call: Call, fault: faults.Fault) -> Response:
    """An error in the form of the call's protocol, as botocore expects it."""
    request_id = str(uuid.uuid4())
    headers = {"x-amzn-requestid": request_id}
    if call.protocol in ("json", "cbor"):
        headers["x-amzn-errortype"] = fault.code
        body: str | bytes = json.dumps({"__type": fault.code, "message": fault.message})
        content_type = "application/x-amz-json-1.1"
        if call.protocol == "cbor":
            headers["smithy-protocol"] = "rpc-v2-cbor"
            body, content_type = _cbor({"__type": fault.code, "message": fault.message}), "application/cbor"
        return Response(body, fault.status, headers, content_type=content_type)
    what = f"<Code>{escape(fault.code)}</Code><Message>{escape(fault.message)}</Message>"
    if call.protocol == "ec2":
        body = f"<Response><Errors><Error>{what}</Error></Errors><RequestID>{request_id}</RequestID></Response>"
    elif call.signing_name == "s3":
        body = f"<Error>{what}<RequestId>{request_id}</RequestId></Error>"
    else:
        sender = "Sender" if fault.status < 500 else "Receiver"
        what = f"<Error><Type>{sender}</Type>{what}</Error>"
        body = f"<ErrorResponse>{what}<RequestId>{request_id}</RequestId></ErrorResponse>"
    return Response(f'<?xml version="1.0" encoding="UTF-8"?>{body}', fault.status, headers, content_type="text/xml")


def _cbor(texts: dict[str, str]) -> bytes:
    """RFC 8949: a map of at most 23 text strings."""

    def text(value: str) -> bytes:
        data = value.encode()
        return b"\x79" + struct.pack(">H", len(data)) + data

    return bytes([0xA0 + len(texts)]) + b"".join(text(key) + text(value) for key, value in texts.items())


def _hang_up(environ: dict[str, Any]) -> Iterable[bytes]:
    """Close the connection without an answer."""
    connection = environ.get("werkzeug.socket")
    if connection is not None:
        connection.shutdown(socket.SHUT_RDWR)
    raise ConnectionAbortedError("a fault rule asked for it")
