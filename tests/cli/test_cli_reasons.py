"""The reasons and the checklist are printed from the code that uses them."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING

import click
from click.testing import CliRunner

from entra_guard._validation.checklist import CHECKLIST
from entra_guard.cli._group import group
from entra_guard.cli.reason_guides import GUIDES, PLACEHOLDERS, filled
from entra_guard.cli.reason_guides._pages import log_line
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


def test_the_list_has_every_reason_below_its_status() -> None:
    found: dict[str, int] = {}
    status = 0
    for line in printed("reasons").splitlines():
        if heading := re.match(r"(\d{3})  \w", line):
            status = int(heading[1])
        elif row := re.match(r"  (\w+)  ", line):
            found[row[1]] = status
    assert found == {reason.name: reason.status for reason in REASONS.values()}


def test_one_reason_is_shown_completely() -> None:
    assert printed("reasons", "expired") == printed("reason", "expired")
    for code, reason in REASONS.items():
        output, guide = printed("reason", code), GUIDES[code]
        texts = [code, str(reason.status), reason.client, reason.explanation, reason.fix]
        texts += map(filled, [*guide.causes, *guide.commands, *guide.settings, *guide.az])
        texts += [filled(guide.portal), filled(guide.otherwise), log_line(code)]
        assert [text for text in texts if text not in output] == [], code


def test_every_reason_has_causes_and_a_way_to_fix_it() -> None:
    assert GUIDES.keys() == REASONS.keys()
    for code, guide in GUIDES.items():
        assert guide.causes, code
        assert guide.otherwise or guide.commands or guide.settings, code
        for text in (*guide.causes, *guide.see, *guide.commands, *guide.settings, *guide.az, guide.portal):
            names = re.findall(r"\{([a-z_]+)\}", text)
            assert set(names) <= PLACEHOLDERS.keys(), (code, text)


def test_every_command_of_a_guide_has_options_that_exist() -> None:
    for code, guide in GUIDES.items():
        for command in (*guide.commands, *(line.removeprefix("$ ") for line in guide.see)):
            if not command.startswith("entra-guard "):
                continue
            name, *rest = shlex.split(filled(command).partition(" > ")[0].partition(" < ")[0])[1:]
            found: click.Command | None = group.get_command(click.Context(group), name)
            while isinstance(found, click.Group):
                found = found.get_command(click.Context(found), rest.pop(0))
            assert found, (code, command)
            options = {option for parameter in found.params for option in parameter.opts}
            assert {word for word in rest if word.startswith("--")} <= options, (code, command)


def test_a_reason_as_it_is_in_a_log_line_is_found() -> None:
    expected = printed("reason", "wrong_audience")
    assert printed("reason", "wrong_audience:") == printed("reason", "Wrong-Audience") == expected


def test_a_reason_as_json_has_the_example_of_its_log_line() -> None:
    content = json.loads(printed("reason", "expired", "--json"))
    assert "args" not in content
    assert content["log"].startswith("401 GET /orders: expired: ")
    assert content["causes"]


def test_an_unknown_reason_gets_a_suggestion() -> None:
    done = CliRunner().invoke(group, ["reasons", "wrong_audiance"])
    assert done.exit_code == 2
    assert "there is no reason 'wrong_audiance'. Did you mean 'wrong_audience'?" in done.output


def test_the_checklist_is_the_one_in_use_with_the_signature_in_order() -> None:
    names = [row[0] for row in cells(printed("checklist", "--markdown"))[2:]]
    assert names.pop(names.index("signature")) == "signature"
    assert names == [check.name for check in CHECKLIST]
    assert [row.split()[0] for row in printed("checklist").splitlines()[3:]] == [
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


def test_json_has_the_placeholders_of_the_pages() -> None:
    for code in REASONS:
        found = json.loads(printed("reason", code, "--json"))
        texts = [text for value in found.values() for text in (value if isinstance(value, list) else [value])]
        written = " ".join(map(str, texts))
        assert not [name for name in PLACEHOLDERS if f"{{{name}}}" in written]
        assert found["commands"] == [filled(line) for line in GUIDES[code].commands]
    assert (
        "entra-guard app role add <API> <role> --for apps"
        in json.loads(printed("reason", "missing_role", "--json"))["commands"]
    )
