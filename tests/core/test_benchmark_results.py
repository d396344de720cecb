"""Comparing two benchmark runs: a change counts only beyond noise."""

from __future__ import annotations

import json

import pytest

from benchmarks import _results


@pytest.mark.parametrize(
    ("then", "now", "expected"),
    [
        ([1.50, 1.52, 1.54, 1.51], [1.30, 1.31, 1.29, 1.32], "better, 14%"),
        ([1.30, 1.31, 1.29, 1.32], [1.50, 1.52, 1.54, 1.51], "worse, 16%"),
        ([1.30, 1.60, 1.20, 1.50], [1.35, 1.55, 1.25, 1.45], "same"),
        ([1.300, 1.301, 1.302, 1.303], [1.310, 1.311, 1.312, 1.313], "same"),
    ],
)
def test_a_change_counts_only_when_it_is_beyond_noise(then, now, expected):
    assert _results.verdict(then, now) == expected


def test_a_saved_run_names_machine_versions_and_commit(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(_results, "_ratios", {})
    monkeypatch.setattr(_results, "_tables", {})
    _results.record("first sight", [1.3, 1.4, 1.5])
    _results.record_table("validation", ("", "µs"), [("first sight", 29.5)])
    _results.save(tmp_path / "run.json")
    saved = json.loads((tmp_path / "run.json").read_text())
    assert saved["ratios"] == {"first sight": [1.3, 1.4, 1.5]}
    assert saved["tables"] == {"validation": {"head": ["", "µs"], "rows": [["first sight", "29.5"]]}}
    assert saved["run"].keys() == {"date", "python", "machine", "packages", "commit"}
    _results.compare(tmp_path / "run.json")
    assert "| first sight | 1.400 | 1.400 | same |" in capsys.readouterr().out
