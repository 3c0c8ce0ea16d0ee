"""The user data of the launch template: compressed, kept while it says the same, and refused where it is too long."""

from __future__ import annotations

import base64
import gzip
import os

from .conftest import ENVIRONMENT, REGION, WORKER, Project, cloud_config_of

NAME = f"{ENVIRONMENT}-worker"


def test_files_of_more_than_the_limit_fit_and_another_zlib_makes_no_new_version(project: Project) -> None:
    (project.directory / "apps" / "code").mkdir()
    lines = "".join(f"line {number}\n" for number in range(3000))
    project.write("apps/code/lines.txt", lines)
    project.app({**WORKER, "runtime": {**WORKER["runtime"], "source": "code"}})
    project.onboard()
    ec2 = project.sandbox.client("ec2", REGION)

    def versions() -> list[dict[str, str]]:
        found = ec2.describe_launch_template_versions(LaunchTemplateName=NAME)["LaunchTemplateVersions"]
        return [one["LaunchTemplateData"] for one in found]

    (made,) = versions()
    (file,) = [one for one in cloud_config_of(made["UserData"])["write_files"] if one["path"] == "/opt/worker/lines.txt"]
    assert base64.b64decode(file["content"]).decode() == lines and len(lines) > 16384
    other = base64.b64encode(gzip.compress(gzip.decompress(base64.b64decode(made["UserData"])), 1)).decode()
    assert other != made["UserData"]
    ec2.create_launch_template_version(LaunchTemplateName=NAME, LaunchTemplateData={**made, "UserData": other})
    ec2.modify_launch_template(LaunchTemplateName=NAME, DefaultVersion="2")

    again = project.onboard()
    assert set(again.changed.values()) == {0}, again.output
    assert len(versions()) == 2


def test_what_cannot_be_compressed_below_the_limit_is_refused_before_anything_is_touched(project: Project) -> None:
    (project.directory / "apps" / "code").mkdir()
    (project.directory / "apps" / "code" / "noise.bin").write_text(os.urandom(12000).hex())
    project.app({**WORKER, "runtime": {**WORKER["runtime"], "source": "code"}})
    run = project.play("app_onboard")
    assert run.code != 0
    assert "apps/worker.yml: runtime.source, runtime.environment and runtime.drain make user data of" in run.words, run.output
    assert "AWS allows 16384; have the instances fetch what is large" in run.words
    assert project.writes() == []
