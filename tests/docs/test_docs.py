"""README and docs: their Python runs, their generated parts are current, their links and commands exist."""

from __future__ import annotations

import re
import runpy
import subprocess
from pathlib import Path

import click
import pytest

from entra_guard.cli._group import group

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
REPOSITORY = "https://github.com/entra-guard/entra-guard/"
MOST_LINES_OF_README = 200

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def links(page: Path) -> list[str]:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"\]\(([^)\s]+)\)", text)


def command_shown(name: str) -> str:
    shown = re.search(rf"<!-- command: {name} -->\n```sh\n(.*?)```", README.read_text(), re.DOTALL)
    assert shown
    return shown[1].strip()


@every_page
def test_the_python_on_a_page_runs_from_top_to_bottom(page):
    names = {"__name__": page.stem}
    for block in blocks(page, "python"):
        exec(compile(block, page.name, "exec", dont_inherit=True), names)


def test_generated_parts_are_current():
    generate = runpy.run_path(str(ROOT / "docs" / "generate.py"))
    stale = [page.name for page in PAGES if generate["generated"](page.read_text()) != page.read_text()]
    assert stale == [], "run: python docs/generate.py"


@every_page
def test_every_link_to_a_file_of_this_repository_leads_to_one(page):
    for link in links(page):
        path, _, anchor = link.partition("#")
        if path.startswith(REPOSITORY):
            target = ROOT / re.sub(rf"^{REPOSITORY}(blob|tree)/main/", "", path)
        elif not re.match(r"\w+:", path):
            target = (page.parent / path) if path else page
        else:
            continue
        assert target.exists(), link
        assert not anchor or anchor in headings(target), link


def headings(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_a_package_index_can_show_the_readme_because_its_links_are_absolute():
    assert [link for link in links(README) if not link.startswith("https://")] == []


def test_the_readme_is_short():
    assert len(README.read_text().splitlines()) <= MOST_LINES_OF_README


@every_page
def test_every_command_on_a_page_exists(page):
    for block in blocks(page, "sh"):
        for words in re.findall(r"(?:^|[|(/\s])entra-guard ((?:[a-z]+ ?)+)", block):
            found: click.Command = group
            for word in words.split():
                if not isinstance(found, click.Group):
                    break
                found = found.get_command(click.Context(found), word)
                assert found, f"entra-guard {words}"


@pytest.mark.parametrize("name", ["demo", "tests"])
def test_each_of_the_two_commands_is_one_line(name):
    assert len(command_shown(name).splitlines()) == 1


def test_nothing_committed_names_this_machine_or_a_package_registry():
    files = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\n")
    registries = ["pypi" + ".org", "pythonhosted" + ".org", "npmjs" + ".org", "deb.debian" + ".org"]
    for name in filter(None, files):
        text = (ROOT / name).read_text(errors="ignore")
        assert not [registry for registry in registries if registry in text], name
        assert not re.search(r"(?<![\w.])/(work|farm)/", text), name


def test_the_picture_of_the_demo_shows_what_the_demo_prints():
    picture = runpy.run_path(str(ROOT / "docs" / "demo_picture.py"))
    drawn = picture["text_of"]((ROOT / "docs" / "demo.svg").read_text())
    printed = picture["shown"](picture["demo_lines"]())
    words = ["".join("".join(lines).split()) for lines in (drawn, printed)]
    assert words[0] == words[1], "run: python docs/demo_picture.py"
