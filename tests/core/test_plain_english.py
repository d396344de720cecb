"""Texts are plain technical English: a word list finds archaic and literary sentences."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
LARGEST_SHARE = 0.005

# Words and phrases that a senior engineer would not write to a colleague.
MARKED = re.compile(
    r"""\b(?:
      at\ hand | anew | at\ the\ most | whoever | whosever | strangers? | so\ many | so-manyth
    | (?:to|can|could|cannot|must)\ be\ had | sees?\ to\ (?!that\b.*\btest) | saw\ to | lets?\ go\ of
    | leaves?\ away | for\ good | in\ the\ midst | (?:of|on)\ its\ own\ (?:accord|affair)
    | nobody | somebody | under\ way | besides | stumbl\w+ | mend(?:s|ed|ing)? | heal(?:s|ed|ing)?
    | hearken | thereof | wherein | whence | hence | lest | shall | upon
    | (?<!there\ )(?:is|are)\ no\ (?!longer|more\b)\w+
    | must\ have\ had | has\ had\ its\ say | has\ come\ to | came\ to\ pass | its\ say
    )\b | ,\ and\ no\ \w+[.;]?$""",
    re.VERBOSE | re.IGNORECASE,
)
SENTENCES = re.compile(r"(?<=[.!?:;])\s+|\n\s*\n|\n(?=\s*(?:[-|*#]|\d+\.))")
# Files that have the marked words as data.
EXEMPT = {"tests/core/test_plain_english.py"}


def sentences(text: str) -> list[str]:
    """Return the sentences of a text; what has fewer than three words is not one."""
    plain = re.sub(r"`[^`\n]*`", "`code`", text)
    found = (" ".join(part.split()) for part in SENTENCES.split(plain))
    return [part for part in found if len(part.split()) >= 3]


# A string, or a comment. Python's own `tokenize` is slow: it would take most of this file's time.
STRING_OR_COMMENT = re.compile(
    r"""(\"{3}|'{3})(?:\\.|.)*?\1 | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*' | \#[^\n]*""",
    re.VERBOSE | re.DOTALL,
)


def comments(source: str) -> list[str]:
    """Return the comments of a Python file."""
    return [found.group() for found in STRING_OR_COMMENT.finditer(source) if found.group()[0] == "#"]


def syntax_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield what `ast.walk` yields, in another order and in much less time."""
    left = [tree]
    while left:
        node = left.pop()
        yield node
        for value in vars(node).values():
            if isinstance(value, ast.AST):
                left.append(value)
            elif isinstance(value, list):
                left += [item for item in value if isinstance(item, ast.AST)]


def python_texts(path: Path) -> list[str]:
    """Return the docstrings, comments, string literals and test names of a Python file."""
    source = path.read_text()
    texts = [found.lstrip("# ") for found in comments(source)]
    for node in syntax_nodes(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            texts.append(node.value)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            texts.append(node.name.replace("_", " "))
    return texts


def texts_of(path: Path) -> list[str]:
    if path.suffix == ".py":
        return python_texts(path)
    text = path.read_text()
    if path.suffix == ".html":
        return [re.sub(r"<[^>]+>|\{[{%#].*?[}%#]\}", "\n\n", text, flags=re.DOTALL)]
    return [re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)]


def files() -> list[Path]:
    folders = ("entra_guard", "tests", "examples", "benchmarks", "docs")
    found = [path for folder in folders for path in (ROOT / folder).rglob("*")]
    found += ROOT.glob("*.md")
    return [
        path
        for path in sorted(found)
        if path.suffix in {".py", ".md", ".html"} and path.relative_to(ROOT).as_posix() not in EXEMPT
    ]


def marked_sentences() -> tuple[dict[str, list[str]], int]:
    """Return the marked sentences by file, and the number of all sentences."""
    marked: dict[str, list[str]] = {}
    total = 0
    for path in files():
        found = [sentence for text in texts_of(path) for sentence in sentences(text)]
        total += len(found)
        if hits := [sentence for sentence in found if MARKED.search(sentence)]:
            marked[path.relative_to(ROOT).as_posix()] = hits
    return marked, total


def test_almost_no_sentence_is_marked():
    marked, total = marked_sentences()
    number = sum(map(len, marked.values()))
    worst = Counter({name: len(hits) for name, hits in marked.items()}).most_common(15)
    assert number / total < LARGEST_SHARE, f"{number} of {total} sentences: {worst}"


@pytest.mark.parametrize("name", ["entra_guard/errors.py", "entra_guard/reasons.py", "SECURITY.md"])
def test_what_clients_and_operators_read_first_has_no_marked_sentence(name):
    found = [sentence for text in texts_of(ROOT / name) for sentence in sentences(text)]
    assert [sentence for sentence in found if MARKED.search(sentence)] == []


@pytest.mark.parametrize(
    "sentence",
    [
        "The token at hand serves on.",
        "Whoever sends it is refused.",
        "It is no JSON object.",
        "the background refresh stumbled, and goes on",
        "Nobody can meet this requirement.",
    ],
)
def test_the_word_list_finds_archaic_sentences(sentence):
    assert MARKED.search(sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        "The token signature is invalid.",
        "There is no key.",
        "It is no longer valid.",
        "Send the token again, without quotes.",
    ],
)
def test_the_word_list_leaves_plain_sentences_alone(sentence):
    assert not MARKED.search(sentence)
