"""The fenced blocks of a Markdown file, and the `hubel` commands in it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parent.parent


def fenced(text: str) -> list[tuple[str, str]]:
    """(language, content) of each block, in order."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S)


def commands(text: str) -> list[list[str]]:
    """The words after each `hubel` that a reader could type: in sh and console blocks, and in `code` of the prose."""
    lines = [line for kind, block in fenced(text) if kind == "sh" for line in joined(block)]
    for kind, block in fenced(text):
        typed = [line for line in joined(block) if line.startswith("$ ")] if kind == "console" else []
        assert kind != "console" or typed, f"a console block in which nothing is typed: {block}"
        lines += typed  # the others are what is printed
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    lines += [span for span in re.findall(r"`([^`\n]+)`", prose) if span.startswith("hubel ")]
    found = []
    for line in lines:
        for words in parts(line.removeprefix("$ ")):
            while words and "=" in words[0]:  # VARIABLE=value before the command
                words = words[1:]
            if words[:1] == ["hubel"]:
                found.append(words[1:])
    return found


def parts(line: str) -> list[list[str]]:
    """The words of each command in a line; ; and | inside quotes are words, and none of the shell's signs."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";|&")
    lexer.whitespace_split = True
    found: list[list[str]] = [[]]
    for word in lexer:
        if set(word) <= set(";|&"):
            found.append([])
        else:
            found[-1].append(word)
    return found


def joined(block: str) -> list[str]:
    """Lines of a block, those that end in a backslash joined with the next."""
    return block.replace("\\\n", " ").splitlines()


def links(text: str) -> list[str]:
    """Targets of links and pictures that lie in this repository."""
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    return [target for target in targets if not re.match(r"https?:|#|mailto:", target)]
