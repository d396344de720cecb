"""The reasons and the checklist are printed from the code that decides by them."""

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
    assert header == ["reason", "status", "the client is told", "what to do"]
    assert rule == ["---"] * 4
    assert [row[0] for row in rows] == [f"`{code}`" for code in REASONS]
    assert [row[1] for row in rows] == [str(reason.status) for reason in REASONS.values()]


def test_markdown_does_not_read_placeholders_as_html() -> None:
    assert "'Authorization: Bearer \\<access token>'" in reasons_markdown()


def test_a_cell_cannot_end_early() -> None:
    for markdown in (reasons_markdown(), checklist_markdown()):
        assert len({len(row) for row in cells(markdown)}) == 1


def test_what_is_printed_is_what_the_readme_can_compare_with() -> None:
    assert printed("reasons", "--markdown") == f"{reasons_markdown()}\n"
    assert printed("checklist", "--markdown") == f"{checklist_markdown()}\n"


def test_the_list_of_reasons_has_them_all() -> None:
    lines = printed("reasons").splitlines()
    assert [line.split()[0] for line in lines[1:-2]] == list(REASONS)


@pytest.mark.parametrize("code", REASONS)
def test_one_reason_is_told_whole(code: str) -> None:
    said = printed("reasons", code)
    reason = REASONS[code]
    for piece in (code, str(reason.status), reason.client, reason.explanation, reason.fix):
        assert piece in said


def test_a_reason_that_does_not_exist_is_a_mistake() -> None:
    done = CliRunner().invoke(group, ["reasons", "wrong_audiance"])
    assert done.exit_code == 2
    assert "there is no reason 'wrong_audiance'" in done.output


def test_the_checklist_is_the_one_that_decides_with_the_signature_in_its_place() -> None:
    names = [row[0] for row in cells(printed("checklist", "--markdown"))[2:]]
    assert names.pop(names.index("signature")) == "signature"
    assert names == [check.name for check in CHECKLIST]
    assert [row.split()[0] for row in printed("checklist").splitlines()[1:]] == [
        row[0].split()[0] for row in cells(checklist_markdown())[2:]
    ]


def test_the_example_in_the_checklist_is_a_token_that_passes() -> None:
    assert [check.decide(*_example()) for check in CHECKLIST] == [""] * len(CHECKLIST)


def test_a_terminal_shows_the_checklist_without_a_line_too_wide(
    terminal: tuple[Screen, io.StringIO],
) -> None:
    screen, written = terminal
    show_checklist(screen)
    said = written.getvalue()
    assert max(map(len, said.splitlines())) <= 100
    assert [row for row in checklist_rows() if row[1] not in said] == []
