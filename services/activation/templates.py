"""Words with variables, as `string.Template` writes them: $name, ${name}, and $$ for a dollar."""

from __future__ import annotations

from collections.abc import Sequence
from string import Template

Piece = tuple[str, str]  # a literal and '', or '' and a variable's name


def variables_of(text: str) -> Sequence[str]:
    """The names in a text, each once; ValueError where a $ stands for nothing."""
    template = Template(text)
    if not template.is_valid():
        raise ValueError("a $ stands for no variable; write $$ for a dollar, ${name} before a letter")
    return template.get_identifiers()


def pieces_of(text: str) -> Sequence[Piece]:
    """The text in pieces, so that it can be put together for many at once."""
    found: list[Piece] = []
    place = 0
    for match in Template.pattern.finditer(text):
        found.append((text[place : match.start()], ""))
        name = match["named"] or match["braced"]
        found.append(("$", "") if match["escaped"] is not None else ("", name))
        place = match.end()
    return [piece for piece in (*found, (text[place:], "")) if piece != ("", "")]
