"""Every cause of a 401 or 403 is reported as what it is, and the printed fix turns the answer into 200."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

import pytest
from cause_world import ROLE, SCOPE, World
from causes import CAUSES, NOT_IN_THE_TOKEN, Cause

REQUIRED = {
    "/role": ["--role", ROLE],
    "/scope": ["--scope", SCOPE],
    "/app-only": ["--role", ROLE, "--app-only"],
}


@pytest.mark.parametrize("name", CAUSES)
def test_the_true_cause_is_explained_and_its_printed_fix_works(name: str) -> None:
    cause, world = CAUSES[name], World()
    get_token = cause.make(world)
    token = get_token()
    status, reason = world.call(cause.path, token)
    assert (status in {401, 403}, reason) == (True, cause.reason)
    done = world.run("explain", "--json", *REQUIRED[cause.path], token=token)
    report = json.loads(done.stdout)
    assert report["reason"] == cause.reason
    assert cause.hint in json.dumps(report["facts"])
    token = fix(world, report["remedy"])
    if new := re.search(
        r"Let the client request (\S+), and sign in again", " ".join(report["remedy"]["sentences"])
    ):
        world.scope = new[1]
    token = token or get_token()
    assert world.call(cause.path, token) == (200, ""), report["remedy"]


def fix(world: World, remedy: dict[str, Any]) -> str:
    """Do what a report says, in order; return the token if a command gets one."""
    assert remedy["commands"] or remedy["settings"]
    token = ""
    for command in remedy["commands"]:
        token = run_printed(world, command) or token
    if not remedy["commands"]:
        world.settings |= dict(setting.split("=", 1) for setting in remedy["settings"])
    return token


def run_printed(world: World, command: str) -> str:
    """Run a printed command; return the token that it writes to a file, '' if it writes none."""
    words, writes, _file = command.partition(" > ")
    program, *arguments = shlex.split(words)
    assert program == "entra-guard"
    done = world.run(*arguments)
    assert done.exit_code == 0 or "already" in done.output, (command, done.output)
    return done.stdout.strip() if writes else ""


@pytest.mark.parametrize("name", NOT_IN_THE_TOKEN)
def test_a_cause_outside_of_the_token_is_named_and_fixed_by_a_new_token(name: str) -> None:
    cause, world = NOT_IN_THE_TOKEN[name], World()
    token = cause.make(world)()
    assert json.loads(world.run("explain", "--json", token=token).stdout)["reason"] == ""
    assert world.call(cause.path, token)[1] == cause.reason
    guide = json.loads(world.run("reason", cause.reason, "--json").stdout)
    world.header = "Bearer {}".format
    [command] = guide["commands"]
    token = run_printed(world, command.replace("<API>/.default", world.scope))
    assert world.call(cause.path, token) == (200, "")


def test_there_are_at_least_twenty_five_causes() -> None:
    causes: list[Cause] = [*CAUSES.values(), *NOT_IN_THE_TOKEN.values()]
    assert len({cause.make for cause in causes}) >= 25
