# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import multiprocessing
import os

import pytest
from ansible_collections.spot.platform.plugins.module_utils.spool import InUse, Letter, letters_in

EVENTS = [{"id": "a", "summary": "Größe\u2028zwei"}, {"id": "b"}, {"id": "c", "when": {3}}]


def ids(letter):
    return [event["id"] for event in letter.pending.values()]


def test_a_letter_is_for_its_owner_alone_and_goes_when_all_has_arrived(tmp_path):
    letter = Letter.new(str(tmp_path / "spool"), "mail")
    numbers = letter.put(EVENTS)
    assert letter.path.stat().st_mode & 0o777 == 0o600 and letter.path.parent.stat().st_mode & 0o777 == 0o700
    assert letters_in(str(tmp_path / "spool")) == [letter.path]
    letter.delivered(numbers)
    assert letter.close("trouble") and letters_in(str(tmp_path / "spool")) == []


def test_what_has_not_arrived_is_read_again_with_its_numbers(tmp_path):
    letter = Letter.new(str(tmp_path), "mail")
    letter.put(EVENTS)
    letter.delivered([1])
    assert not letter.close("it answered HTTP 500")
    again = Letter.claim(letter.path)
    assert ids(again) == ["a", "c"] and again.pending[0]["summary"] == "Größe\u2028zwei"
    assert again.put([{"id": "d"}]) == [3]
    again.delivered([0, 2])
    assert not again.close() and ids(Letter.claim(letter.path)) == ["d"]
    assert "it answered HTTP 500" in letter.path.read_text(encoding="utf-8")


def test_a_letter_that_another_one_works_with_is_left_alone(tmp_path):
    letter = Letter.new(str(tmp_path), "mail")
    letter.put(EVENTS)
    with pytest.raises(InUse, match="another process is sending it"):
        Letter.claim(letter.path)
    letter.close()
    other = Letter.claim(letter.path)
    other.delivered([0, 1, 2])
    other.close()
    with pytest.raises(InUse, match="delivered meanwhile"):
        Letter.claim(letter.path)


def test_a_letter_of_a_process_that_was_killed_is_free_and_whole(tmp_path):
    def die():
        letter = Letter.new(str(tmp_path), "mail")
        letter.put(EVENTS)
        letter.delivered([0])
        os.write(letter._descriptor, b'{"n":3,"event":{"id":"torn')
        os.kill(os.getpid(), 9)

    process = multiprocessing.get_context("fork").Process(target=die)
    process.start()
    process.join()
    (path,) = letters_in(str(tmp_path))
    letter = Letter.claim(path)
    assert ids(letter) == ["b", "c"]
    letter.close("x")
    assert all(json.loads(line) for line in path.read_bytes().splitlines())


def test_a_letter_that_is_none_is_named_with_its_line(tmp_path):
    (tmp_path / "mail").mkdir()
    path = tmp_path / "mail" / "x.jsonl"
    path.write_text('{"n": 0, "event": {}}\nwhat?\n', encoding="utf-8")
    with pytest.raises(ValueError, match="line 2 of .*x.jsonl is not of a letter"):
        Letter.claim(path)


def test_letters_of_chosen_channels_only_the_oldest_first(tmp_path):
    for channel, name in (("b", "1.jsonl"), ("a", "2.jsonl"), ("b", "0.jsonl"), ("b", ".hidden.jsonl")):
        (tmp_path / channel).mkdir(exist_ok=True)
        (tmp_path / channel / name).touch()
    assert [path.name for path in letters_in(str(tmp_path))] == ["0.jsonl", "1.jsonl", "2.jsonl"]
    assert [path.name for path in letters_in(str(tmp_path), ["a"])] == ["2.jsonl"]
    assert letters_in(str(tmp_path / "none")) == []
