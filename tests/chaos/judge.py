from __future__ import annotations
def judge(history): return {"findings": []}
def report(found): return [str(found["counts"])]
