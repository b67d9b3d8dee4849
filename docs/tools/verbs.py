"""Reads the command line as Typer was told of it: commands, arguments, options. Knows no pages."""  # noqa: INP001 - used by scripts, not a package

import inspect
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import typer
from typer.models import ArgumentInfo, OptionInfo


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument or option.

    Args:
        names: how an option is spelt; empty for an argument.
        placeholder: what stands for its value; empty for a flag.
        default: as it is typed; empty where there is none worth a word.
        text: what it does.
    """

    names: tuple[str, ...]
    placeholder: str
    default: str
    text: str

    def row(self) -> str:
        """The row of a table."""
        names = ", ".join(f"`{name}`" for name in self.names)
        value = f"`{self.placeholder}`".replace("|", "\\|") if self.placeholder else ""
        preset = f"`{self.default}`" if self.default else ""
        return f"| {' '.join(filter(None, (names, value)))} | {preset} | {self.text} |"


@dataclass(frozen=True, slots=True)
class Command:
    """One command, its name as it is typed."""

    name: str
    text: str
    parameters: tuple[Parameter, ...]


def commands() -> list[Command]:
    """Every command that does something, in the order of `penultimate --help`."""
    from service.cli import app

    return list(_commands(app, ""))


def _commands(app: typer.Typer, before: str) -> Iterator[Command]:
    for each in app.registered_commands:
        function = each.callback
        if function is None or each.hidden:
            continue
        name = before + (each.name or function.__name__.replace("_", "-"))
        parameters = tuple(_parameters(function))
        yield Command(name, each.help or inspect.getdoc(function) or "", parameters)
    for group in app.registered_groups:
        if group.typer_instance is not None:
            yield from _commands(group.typer_instance, f"{before}{group.name} ")


def _parameters(function: Callable[..., Any]) -> Iterator[Parameter]:
    hints = typing.get_type_hints(function, include_extras=True)
    for name, taken in inspect.signature(function).parameters.items():
        kind, *said = typing.get_args(hints[name]) or (hints[name],)
        info = next((s for s in said if isinstance(s, ArgumentInfo | OptionInfo)), None)
        if info is None or info.hidden:
            continue
        is_flag = kind is bool
        yield Parameter(
            names=_names(name, info, is_flag=is_flag),
            placeholder="" if is_flag else info.metavar or _choices(kind) or name.upper(),
            default=_default(taken.default),
            text=" ".join((info.help or "").split()) + _limits(info),
        )


def _names(name: str, info: ArgumentInfo | OptionInfo, *, is_flag: bool) -> tuple[str, ...]:
    if isinstance(info, ArgumentInfo):
        return ()
    # Within Annotated the first name stands where the default would.
    said = [d for d in (info.default, *(info.param_decls or ())) if str(d).startswith("-")]
    if said:
        return tuple(part for each in said for part in str(each).split("/"))
    spelt = name.replace("_", "-")
    return (f"--{spelt}", f"--no-{spelt}") if is_flag else (f"--{spelt}",)


def _choices(kind: object) -> str:
    is_literal = typing.get_origin(kind) is typing.Literal
    return "|".join(map(str, typing.get_args(kind))) if is_literal else ""


def _default(value: object) -> str:
    if value is None or value is False or value == "" or value is inspect.Parameter.empty:
        return ""
    return "yes" if value is True else str(value)


def _limits(info: ArgumentInfo | OptionInfo) -> str:
    if info.min is not None and info.max is not None:
        return f" {info.min} to {info.max}."
    return f" At least {info.min}." if info.min is not None else ""
