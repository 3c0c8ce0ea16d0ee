"""How often each API operation was called."""

from __future__ import annotations

from collections import Counter

_counts: Counter[tuple[str, str]] = Counter()


def count(service: str, operation: str) -> None:
    """Note one call."""
    _counts[(service, operation)] += 1


def reset() -> None:
    """Start counting from zero."""
    _counts.clear()


def summary() -> dict[str, object]:
    """``{"total": n, "services": {service: {operation: n}}}``, sorted by name."""
    services: dict[str, dict[str, int]] = {}
    for (service, operation), number in sorted(_counts.items()):
        services.setdefault(service, {})[operation] = number
    return {"total": sum(_counts.values()), "services": services}
