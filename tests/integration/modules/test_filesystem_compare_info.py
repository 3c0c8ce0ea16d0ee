"""Two folders compared by the module, as a user has it: once whole, and then what has changed."""

from __future__ import annotations

import os

import pytest


@pytest.fixture
def folders(tmp_path):
    for name in ("source", "copy"):
        (tmp_path / name / "folder").mkdir(parents=True)
        (tmp_path / name / "folder" / "file").write_text("data")
        for path in ("folder/file", "folder", "."):
            os.utime(tmp_path / name / path, (1, 1))
    return {"source": str(tmp_path / "source"), "copy": str(tmp_path / "copy")}


def test_folders_that_are_the_same_and_one_that_is_not(run_module, folders, tmp_path):
    task = {**folders, "record": str(tmp_path / "record" / "same"), "lock": str(tmp_path / "lock"), "idle": True}
    first = run_module("filesystem_compare_info", task)
    assert (first["count"], first["entries"], first["read"], first["bytes"], first["changed"]) == (0, 3, 1, 4, False)
    os.chmod(tmp_path / "copy/folder/file", 0o600)
    os.chmod(tmp_path / "source/folder/file", 0o640)
    (tmp_path / "copy" / "new").write_text("")
    os.utime(tmp_path / "copy", (1, 1))
    second = run_module("filesystem_compare_info", {**task, "most": 1})
    assert second["count"] == 2 and len(second["differences"]) == 1
    assert second["kinds"] == ["extra", "mode"], "also of what is not returned"
    whole = run_module("filesystem_compare_info", folders)
    assert {(one["path"], one["what"], one["source"], one["copy"]) for one in whole["differences"]} == {
        ("new", "extra", "", ""),
        ("folder/file", "mode", "0640", "0600"),
    }


def test_a_folder_that_is_not_there_is_an_error(run_module, folders):
    result = run_module("filesystem_compare_info", {**folders, "copy": "/nowhere"})
    assert result["failed"] and result["msg"] == "there is no folder /nowhere"
