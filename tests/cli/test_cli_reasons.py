"""The reasons and the checklist are printed from the code that uses them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from entra_guard._validation.checklist import CHECKLIST
from entra_guard.cli._group import group
from entra_guard.cli.reasons import (
    _example,
    checklist_markdown,
    checklist_rows,
    reasons_markdown,
    show_checklist,
)
from entra_guard.reasons import REASONS

if TYPE_CHECKING:
    import io

    from entra_guard.cli._screen import Screen


def printed(*arguments: str) -> str:
    done = CliRunner().invoke(group, [*arguments])
    assert done.exit_code == 0, done.output
    return done.output


def cells(markdown: str) -> list[list[str]]:
    return [line.strip("| ").split(" | ") for line in markdown.splitlines()]


def test_the_markdown_of_the_reasons_has_one_row_for_each_in_order() -> None:
    header, rule, *rows = cells(printed("reasons", "--markdown"))
    assert header == ["reason", "status", "text for the client", "fix"]
    assert rule == ["---"] * 4
    assert [row[0] for row in rows] == [f"`{code}`" for code in REASONS]
    assert [row[1] for row in rows] == [str(reason.status) for reason in REASONS.values()]


def test_markdown_does_not_read_placeholders_as_html() -> None:
    assert "'Authorization: Bearer \\<access token>'" in reasons_markdown()


def test_cells_are_escaped() -> None:
    for markdown in (reasons_markdown(), checklist_markdown()):
        assert len({len(row) for row in cells(markdown)}) == 1


def test_the_commands_print_the_same_markdown_as_the_docs() -> None:
    assert printed("reasons", "--markdown") == f"{reasons_markdown()}\n"
    assert printed("checklist", "--markdown") == f"{checklist_markdown()}\n"


def test_the_list_has_every_reason() -> None:
    lines = printed("reasons").splitlines()
    assert [line.split()[0] for line in lines[1:-2]] == list(REASONS)


@pytest.mark.parametrize("code", REASONS)
def test_one_reason_is_shown_completely(code: str) -> None:
    output = printed("reasons", code)
    reason = REASONS[code]
    for piece in (code, str(reason.status), reason.client, reason.explanation, reason.fix):
        assert piece in output


def test_an_unknown_reason_gets_a_suggestion() -> None:
    done = CliRunner().invoke(group, ["reasons", "wrong_audiance"])
    assert done.exit_code == 2
    assert "there is no reason 'wrong_audiance'. Did you mean 'wrong_audience'?" in done.output


def test_the_checklist_is_the_one_in_use_with_the_signature_in_order() -> None:
    names = [row[0] for row in cells(printed("checklist", "--markdown"))[2:]]
    assert names.pop(names.index("signature")) == "signature"
    assert names == [check.name for check in CHECKLIST]
    assert [row.split()[0] for row in printed("checklist").splitlines()[1:]] == [
        row[0].split()[0] for row in cells(checklist_markdown())[2:]
    ]


def test_the_example_token_of_the_checklist_passes() -> None:
    assert [check.decide(*_example()) for check in CHECKLIST] == [""] * len(CHECKLIST)


def test_the_checklist_fits_a_terminal(
    terminal: tuple[Screen, io.StringIO],
) -> None:
    screen, written = terminal
    show_checklist(screen)
    output = written.getvalue()
    assert max(map(len, output.splitlines())) <= 100
    assert [row for row in checklist_rows() if row[1] not in output] == []
