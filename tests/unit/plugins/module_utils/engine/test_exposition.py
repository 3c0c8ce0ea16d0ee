# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Prometheus reads is what was meant, and nothing is in it that it would choke on."""

from __future__ import annotations

import math

import pytest
from ansible_collections.spot.platform.plugins.module_utils.engine.exposition import Family, text


def test_a_family_is_described_once_and_labels_of_all_come_first():
    families = [Family("a_usd", "Dollars.", [({"app": "x"}, 1), ({"app": "y"}, 0.5)]), Family("b", "A state.", [({}, True)])]
    assert text(families, {"environment": "it"}).splitlines() == [
        "# HELP spot_platform_a_usd Dollars.",
        "# TYPE spot_platform_a_usd gauge",
        'spot_platform_a_usd{environment="it",app="x"} 1',
        'spot_platform_a_usd{environment="it",app="y"} 0.5',
        "# HELP spot_platform_b A state.",
        "# TYPE spot_platform_b gauge",
        'spot_platform_b{environment="it"} 1',
    ]


def test_what_has_no_value_is_absent():
    assert text([Family("a", "A.", [({}, None)]), Family("b", "B.", [({"x": "1"}, math.nan), ({"x": "2"}, math.inf)])]) == ""
    assert "0" in text([Family("a", "A.", [({}, 0)])])


def test_what_would_end_a_value_or_a_line_is_escaped():
    made = text([Family("a", 'One\nand "two" \\', [({"app": 'we"b\\\n'}, 1)])])
    assert made.splitlines()[0] == '# HELP spot_platform_a One\\nand "two" \\\\'
    assert made.splitlines()[2] == 'spot_platform_a{app="we\\"b\\\\\\n"} 1'


def test_a_series_that_comes_twice_is_refused():
    with pytest.raises(ValueError, match=r'two values of spot_platform_a\{app="x"\}'):
        text([Family("a", "A.", [({"app": "x"}, 1), ({"app": "x"}, 2)])])
