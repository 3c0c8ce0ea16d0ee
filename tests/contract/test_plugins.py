# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the documentation of modules and plugins promises."""

from __future__ import annotations

import re

import botocore.session
import facts
import pytest
import yaml

DOCS = facts.plugin_docs()
AWS_MODULES = [
    name for (kind, name), entry in DOCS.items() if kind == "module" and "endpoint_url" in entry["doc"]["options"]
]

SERVICES = {
    "elasticloadbalancing": ["elbv2", "elb"],
    "elasticfilesystem": ["efs"],
    "servicequotas": ["service-quotas"],
    "tag": ["resourcegroupstaggingapi"],
}
"""Where IAM calls a service otherwise than botocore."""

ACTIONS_WITHOUT_CALL = {"iam:PassRole", "s3:ListBucket", "s3:ListAllMyBuckets"}


@pytest.mark.parametrize(("kind", "name"), list(DOCS), ids=" ".join)
def test_plugin_is_documented_for_users(kind, name):
    doc = DOCS[kind, name]["doc"]
    assert doc["version_added"] and doc["short_description"] and doc["description"]
    assert not doc["short_description"].endswith("."), "a short description is no sentence"
    assert DOCS[kind, name]["examples"], "there is no example"


@pytest.mark.parametrize("name", AWS_MODULES)
def test_module_is_in_the_action_group(name):
    assert name in facts.load("meta/runtime.yml")["action_groups"]["aws"]


@pytest.mark.parametrize("group", facts.load("meta/runtime.yml")["action_groups"])
def test_action_group_names_modules_that_are_there(group):
    entries = facts.load("meta/runtime.yml")["action_groups"][group]
    ours = {entry for entry in entries if "." not in entry}
    assert ours <= set(facts.MODULES)
    written = [path for folder in ("roles", "playbooks") for path in facts.tracked(".yml", under=folder)]
    used = {key for path in written for task in facts.tasks_in(facts.load(path)) for key in task}
    assert set(entries) - ours == {key for key in used if re.match(r"(amazon|community)\.aws\.", key)}, "of others, those in use"


@pytest.mark.parametrize("name", AWS_MODULES)
def test_module_names_the_iam_actions_that_it_needs(name):
    doc = DOCS["module", name]["doc"]
    lines = [line for line in [*doc["description"], *doc.get("notes", [])] if "Required IAM actions:" in line]
    assert lines, "write in the description or the notes: Required IAM actions: C(ec2:DescribeX), C(...)"
    actions = [action for line in lines for action in re.findall(r"C\(([a-z0-9-]+:\w+)\)", line)]
    assert actions and all(line.count("C(") == len(re.findall(r"C\([a-z0-9-]+:[A-Z]\w+\)", line)) for line in lines)
    session = botocore.session.get_session()
    for action in sorted(set(actions) - ACTIONS_WITHOUT_CALL):
        service, _colon, operation = action.partition(":")
        known = [session.get_service_model(each).operation_names for each in SERVICES.get(service, [service])]
        assert any(operation in operations for operations in known), f"AWS has no {action}"


@pytest.mark.parametrize(
    ("where", "text"), list(facts.yaml_examples()), ids=lambda value: value if len(value) < 80 else ""
)
def test_example_is_valid(where, text):
    for document in yaml.safe_load_all(text):
        if isinstance(document, dict):
            check_document(document)
        for task in facts.tasks_in(document):
            check_task(task)


def check_document(document):
    """An inventory source, or a manifest."""
    if str(document.get("plugin", "")).startswith(facts.COLLECTION):
        options = DOCS["inventory", document["plugin"].removeprefix(f"{facts.COLLECTION}.")]["doc"]["options"]
        assert not facts.problems(document, options)
    if "capacity" in document and "owner" in document:
        options = facts.load("roles/app/meta/argument_specs.yml")["argument_specs"]["main"]["options"]
        assert not facts.problems(document, options["app_manifest"]["options"])


def check_task(task):
    """A task with one of our modules."""
    for key, arguments in task.items():
        if key.startswith(f"{facts.COLLECTION}."):
            name = key.removeprefix(f"{facts.COLLECTION}.")
            assert ("module", name) in DOCS, f"there is no module {key}"
            found = facts.problems(arguments or {}, DOCS["module", name]["doc"]["options"])
            assert not found, f"{task.get('name')}: {found}"


@pytest.mark.parametrize("name", facts.MODULES)
def test_module_is_tested_against_the_sandbox_or_on_a_host(name):
    tests = [path for folder in ("tests/integration", "tests/hosts") for path in facts.tracked(".py", under=folder)]
    assert any(name in path.read_text(encoding="utf-8") for path in tests), f"no file of tests/integration or tests/hosts runs {name}"
