# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small cache on disk for answers that change slowly or are rationed: one JSON file for each question."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HOUR = 3600.0
DAY = 24 * HOUR


class Cache:
    """Answers by question and endpoint. A file that is damaged or too old counts as absent.

    A directory that cannot be written costs only the saving: ``problem`` then says why, for a warning.
    """

    def __init__(self, directory: str | os.PathLike[str], endpoint: str | None = None) -> None:
        self._directory = Path(directory).expanduser()
        self._endpoint = endpoint
        self.problem: str | None = None

    def remember(self, question: Any, seconds: float, ask: Callable[[], Any]) -> Any:
        """The answer kept for ``question`` if younger than ``seconds``, else ``ask()``'s; both are JSON values."""
        key = json.dumps([self._endpoint, question], sort_keys=True)
        path = self._directory / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            kept = json.loads(path.read_bytes())
            if kept["key"] == key and 0 <= time.time() - kept["time"] < seconds:
                return kept["answer"]
        answer = ask()
        try:
            self._write(path, {"key": key, "time": time.time(), "answer": answer})
        except OSError as error:
            self.problem = f"answers are not cached in {self._directory}: {error}"
        return answer

    def _write(self, path: Path, content: dict[str, Any]) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=self._directory, suffix=".tmp")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(content, file, separators=(",", ":"))
            os.replace(temporary, path)  # a reader sees the old file or the new one, never half of one
        except BaseException:
            os.unlink(temporary)
            raise
