"""The document is the table's."""

from pathlib import Path

import pytest

from twinlease.cli.main import dispatch
from twinlease.metrics import table
from twinlease.metrics.document import markdown

DOCUMENT = Path(__file__).parents[3] / "docs" / "metrics.md"


def test_the_document_is_up_to_date() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == markdown(), "run `make metrics-doc`"


def test_every_metric_has_its_row_with_labels_and_values() -> None:
    rows = [line for line in markdown().splitlines() if line.startswith("| `twinlease_")]

    assert len(rows) == len(table.TABLE)
    for metric in table.TABLE:
        (row,) = [each for each in rows if f"`{metric.name}`" in each]
        assert metric.help in row
        assert all(value in row for value in metric.values)
    (runway,) = [each for each in rows if "runway" in each]
    assert "| `pool` |" in runway, "the labels of a server stand above the table"


def test_the_command_writes_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert dispatch(["metrics", "--output", str(tmp_path / "metrics.md")]) == 0
    assert dispatch(["metrics"]) == 0
    assert (tmp_path / "metrics.md").read_text(encoding="utf-8") == capsys.readouterr().out == markdown()
