"""Plain paths mean what they mean in Jinja, and whatever may not is left to it."""

from __future__ import annotations

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.spot.platform.plugins.plugin_utils.paths import ASK_JINJA, follow, path_of

VARIABLES = {
    "zone": "us-east-1a",
    "nothing": None,
    "empty": "",
    "yes": True,
    "count": 0,
    "price": 0.03,
    "placement": {"tenancy": "default", "host": None},
    "tags": {"Name": "web 1", "spot.platform/app": "web", "items": "a tag", "": "blank", "deep": {"er": [1, 2]}},
    "rows": [{"id": "a"}],
}


@pytest.mark.parametrize(
    "expression, path",
    [
        ("zone", ("zone",)),
        (" placement.tenancy ", ("placement", "tenancy")),
        ("tags['spot.platform/app']", ("tags", "spot.platform/app")),
        ('tags[ "Name" ].x', ("tags", "Name", "x")),
        ("tags['']", ("tags", "")),
    ],
)
def test_path_of_plain_expressions(expression, path):
    assert path_of(expression) == path


@pytest.mark.parametrize(
    "expression",
    [
        "tags.items",
        "tags['keys']",
        "zone | upper",
        "rows[0]",
        "'zone'",
        "a.b()",
        "true",
        "none",
        "not",
        "a . b",
        "",
        "1",
    ],
)
def test_other_expressions_are_for_jinja(expression):
    assert path_of(expression) is None


@pytest.mark.parametrize("expression", ["missing", "tags.missing", "zone.title", "rows.first", "price.real", "range"])
def test_what_is_not_a_plain_value_is_for_jinja(expression):
    assert follow(path_of(expression), VARIABLES) is ASK_JINJA


def test_a_string_of_a_subclass_is_for_jinja():
    class Trusted(str):
        """As the strings that Ansible trusts to be templates."""

    assert follow(("zone",), {"zone": Trusted("{{ x }}")}) is ASK_JINJA


@pytest.mark.parametrize(
    "expression",
    [
        *(
            "zone",
            "nothing",
            "empty",
            "yes",
            "count",
            "price",
            "placement",
            "placement.tenancy",
            "placement.host",
            "tags",
        ),
        *("tags.Name", "tags['spot.platform/app']", "tags['']", 'tags["deep"].er', "tags.deep['er']", "rows"),
    ],
)
def test_the_value_is_the_one_of_jinja(expression):
    templar = Templar(loader=DataLoader(), variables=VARIABLES)
    assert follow(path_of(expression), VARIABLES) == templar.evaluate_expression(_trusted(expression))


def _trusted(expression):
    try:
        from ansible.template import trust_as_template
    except ImportError:  # before ansible-core 2.19
        return expression
    return trust_as_template(expression)
