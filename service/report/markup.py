"""Text that became markup, and the one place where it does so. Knows no report.

Whatever is not `Markup` is escaped when it is put inside an element, so that a class named
`<script>` is shown and never run: nobody has to remember to escape.
"""

import html
import re
import unicodedata
from collections.abc import Iterable

VOID = frozenset({"meta", "br", "img"})

_TURNING = re.compile("[\u202a-\u202e\u2066-\u2069]")
"""Characters that turn the direction of what follows them, out of their element too."""


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def escaped(text: object) -> Markup:
    """What a page shows as this text; `Markup` stays as it is."""
    if isinstance(text, Markup):
        return text
    shown = "".join("\ufffd" if _is_unsayable(c) else c for c in str(text))
    return Markup(html.escape(_TURNING.sub("\ufffd", shown), quote=True))


def element(tag: str, *inside: object, **attributes: object) -> Markup:
    """An element.

    Args:
        tag: its name.
        inside: elements, or text, which is escaped.
        attributes: `_` in a name stands for `-`, and one at its end for nothing.
    """
    said = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escaped(value)}"'
        for name, value in attributes.items()
    )
    if tag in VOID:
        return Markup(f"<{tag}{said}/>")
    return Markup(f"<{tag}{said}>{joined(inside)}</{tag}>")


def joined(parts: "tuple[object, ...] | list[Markup]", between: str = "") -> Markup:
    """Elements and texts, one after the other."""
    return Markup(between.join(escaped(part) for part in parts))


def section(title: str, *inside: Markup) -> Markup:
    """A section of a page."""
    return element("section", element("h2", title), *inside)


def pictures(shown: Iterable[Markup]) -> Markup:
    """Pictures side by side."""
    return element("div", joined(list(shown)), class_="pictures")


def quiet(text: str) -> Markup:
    """A remark."""
    return element("p", text, class_="quiet")


def _is_unsayable(character: str) -> bool:
    """Whether HTML cannot carry it: control characters and halves of surrogate pairs."""
    unsayable = unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\t"
    return unsayable or character in "\ufffe\uffff"
