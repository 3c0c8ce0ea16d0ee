"""What the door lets in, and what it says of what it does not."""

from __future__ import annotations

import asyncio
import logging

import pytest
from ansible_collections.spot.platform.extensions.eda.plugins.module_utils import door as module
from ansible_collections.spot.platform.extensions.eda.plugins.module_utils.door import Answer, Door, Limits, tls_of
from ansible_collections.spot.platform.tests.unit.eda.signing import Authority, new_key, pem
from cryptography.hazmat.primitives import serialization


async def fine(_request, _body):
    return Answer(200)


def door(rate=10.0, connections=2):
    return Door("x", fine, Limits(100, rate, connections, 1.0), lambda: 0)


class Clock:
    now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


def test_ten_seconds_of_the_rate_may_come_at_once_and_then_only_the_rate(clock):
    made = door(rate=10)
    assert [made._allowed() for _number in range(101)] == [True] * 100 + [False]
    clock.now += 0.5
    assert [made._allowed() for _number in range(6)] == [True] * 5 + [False]
    clock.now += 10_000
    assert sum(made._allowed() for _number in range(200)) == 100


def test_less_than_one_request_a_second_can_be_had(clock):
    made = door(rate=0.2)
    assert [made._allowed() for _number in range(3)] == [True, True, False]
    clock.now += 5
    assert made._allowed()


class Guest:
    def __init__(self, idle):
        self._idle, self.dropped = idle, False

    def idle(self):
        return self._idle

    def drop(self):
        self.dropped = True


def test_the_oldest_that_asked_nothing_makes_room(clock):
    made, guests = door(connections=2), [Guest(False), Guest(True), Guest(True)]
    assert [made.enter(one) for one in guests] == [True] * 3
    assert [one.dropped for one in guests] == [False, True, False]
    made.leave(guests[1])  # which it did already
    assert made.enter(Guest(False))
    assert not made.enter(Guest(False))
    made.leave(guests[0])
    assert made.enter(Guest(False))


def test_a_storm_of_refusals_is_a_line_now_and_then(clock, caplog):
    made = door()
    with caplog.at_level(logging.WARNING):
        for _number in range(1000):
            made.refused("403", "it is forged")
        made.refused("429", "too many")
        clock.now += module.QUIET_SECONDS
        made.refused("403", "it is forged")
    assert [one.getMessage() for one in caplog.records] == [
        "x: refused: it is forged",
        "x: refused: too many",
        "x: refused: it is forged (and 999 more like it before)",
    ]


@pytest.mark.parametrize("limits", [(0, 1, 1, 1), (1, -1, 1, 1), (1, 1, 0, 1), (1, 1, 1, float("inf")), (1, float("nan"), 1, 1)])
def test_limits_that_let_nothing_in_are_refused(limits):
    with pytest.raises(ValueError, match="the limit of .* must be above 0"):
        Limits(*limits)


def test_tls_needs_a_certificate_with_its_key_and_is_new_enough(tmp_path):
    assert tls_of(None, None) is None
    with pytest.raises(ValueError, match="keyfile is given without certfile"):
        tls_of(None, "/k")
    with pytest.raises(OSError):
        tls_of(str(tmp_path / "missing"), None)
    key = new_key("server")
    (tmp_path / "c.pem").write_bytes(pem(Authority("root").leaf(key, ["localhost"])))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "k.pem").write_bytes(key.private_bytes(*form))
    assert tls_of(str(tmp_path / "c.pem"), str(tmp_path / "k.pem")).minimum_version.name == "TLSv1_2"


def test_an_address_that_is_taken_is_an_error_and_a_door_that_was_closed_frees_it():
    async def work():
        one, other = door(), door()
        await one.start("127.0.0.1", 0, None)
        with pytest.raises(OSError):
            await other.start("127.0.0.1", one.port, None)
        await one.close()
        await other.start("127.0.0.1", one.port, None)
        await other.close()

    asyncio.run(work())
