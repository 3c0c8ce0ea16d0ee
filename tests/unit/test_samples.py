"""The sample applications do what they say."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

APPS = Path(__file__).resolve().parents[2] / "inventories" / "sandbox" / "apps"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(Path(name).stem, APPS / name)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_web_application_says_whether_it_is_healthy() -> None:
    statuses: list[str] = []
    application = load("web/hello.py").application

    def ask(path: str) -> Any:
        return json.loads(b"".join(application({"PATH_INFO": path}, lambda status, _headers: statuses.append(status))))

    assert ask("/health") == {"status": "ok"}
    assert ask("/")["hello"] == "spot"
    assert ask("/nowhere") == {"error": "not found"}
    assert statuses == ["200 OK", "200 OK", "404 Not Found"]


def test_the_worker_deletes_a_job_once_it_is_done_and_drops_what_is_none() -> None:
    worker = load("worker/worker.py")

    class Queue:
        messages = [
            {"MessageId": "1", "Body": '{"text": "spot"}', "ReceiptHandle": "a"},
            {"MessageId": "2", "Body": "not a job", "ReceiptHandle": "b"},
        ]
        deleted: list[str] = []

        def receive_message(self, **_options: Any) -> dict[str, Any]:
            worker.stopping.set()  # as an interruption would, while the jobs are being done
            return {"Messages": self.messages}

        def delete_message(self, QueueUrl: str, ReceiptHandle: str) -> None:
            self.deleted.append(ReceiptHandle)

    assert worker.run(Queue(), "url") == 2
    assert Queue.deleted == ["a", "b"]
