"""What every verb shares: where it asks, and how a refusal is told. Knows no verb."""

import gc
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer
from typer.core import TyperGroup

from service.cli.terminal import note, printable
from service.client_errors import PenultimateError

if TYPE_CHECKING:
    from service.client import Client
    from service.settings import Settings

Server = Annotated[
    str | None,
    typer.Option("--server", metavar="URL", help="Ask this server, not the home folder."),
]
Key = Annotated[
    str | None, typer.Option("--key", metavar="KEY", help="The server's key.", show_default=False)
]
AsJson = Annotated[
    bool, typer.Option("--json", metavar="", help="Print the HTTP answer and nothing else.")
]

HINTS = {
    "head_not_found": "`penultimate heads list` shows those there are.",
    "version_not_found": "`penultimate heads show HEAD` lists its versions.",
    "alias_not_found": "`penultimate heads show HEAD` lists its aliases.",
    "labels_not_ready": "Correct the folder and run it again with --relabel, "
    "or learn from it under a new --dataset name.",
    "no_signal": "More or clearer images help; --allow-no-signal registers the head all the same.",
    "image_not_found": "An image is named by its digest; --json answers show it.",
    "unauthenticated": "Give a key with --key or PENULTIMATE_KEY; "
    "`penultimate keys create` makes one on the server's home.",
    "dataset_not_found": "`penultimate ingest` makes a dataset from a folder.",
    "key_not_found": "`penultimate keys list` shows the ids of a workspace's keys.",
}
"""What to do from a shell, by code, where the server's hint speaks of HTTP."""

OWN = ("features", "classifiers", "service")
"""Packages whose refusals are told; anything else is a mistake of ours and shows its trace."""

SHOWN = 10
"""Problems that are printed of many."""


@dataclass
class Origin:
    """Where a verb asks.

    Args:
        server: address of a server; None is the home folder.
        key: sent to the server.
        workspace: whose things in the home folder; on a server the key says it.
        as_json: whether standard output is for a machine.
        hints: what to do in this verb, by code of a refusal or of the one problem that it has.
    """

    server: str | None = None
    key: str | None = None
    workspace: str = "default"
    as_json: bool = False
    hints: Mapping[str, str] = field(default_factory=dict)


class Guarded(TyperGroup):
    """The program's group: whatever is refused is told in words, and the exit status is 1."""

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]  # typer's own class
        """Runs a verb."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # whoever read has enough, and need not be told
            raise
        except Exception as error:
            refusal = as_refusal(error)
            if refusal is None:
                _clean_usage(error)
                raise
            origin = ctx.find_root().obj
            if not isinstance(origin, Origin):
                origin = Origin()
            if origin.as_json and refusal.answer is not None:
                print_json(refusal.answer)
            tell(refusal, origin.hints)
            raise typer.Exit(1) from None


def _clean_usage(error: Exception) -> None:
    """What was written wrongly is quoted: of `*`, that is the name of a file."""
    said = getattr(error, "message", None)
    if hasattr(error, "format_message") and isinstance(said, str):
        error.message = "\n".join(map(printable, said.split("\n")))  # type: ignore[attr-defined]


@contextmanager
def session(
    context: typer.Context,
    server: str | None,
    key: str | None,
    *,
    as_json: bool = False,
    hints: Mapping[str, str] | None = None,
) -> Iterator["Client"]:
    """A client of the server that was named, or of the home folder; `hints` are this verb's."""
    # httpx looks whether it has a command line of its own, and loads 40 ms of libraries for it.
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
    from service.client import Client

    origin = origin_of(context, server, key, as_json=as_json)
    origin.hints = hints or {}
    client = Client(origin.server, origin.key) if origin.server else _of_home(origin)
    try:
        with client:
            yield client
    finally:
        gc.unfreeze()


def _of_home(origin: Origin) -> "Client":
    """A client of the home folder itself."""
    # What a start makes is there to stay: to look through it for garbage, again and again, is a
    # fifth of the start.
    gc.disable()
    try:
        from service.local import local_client

        settings = quiet_settings()
        _announce_first_use(settings)
        return local_client(settings, origin.workspace)
    finally:
        gc.freeze()
        gc.enable()


def origin_of(
    context: typer.Context, server: str | None, key: str | None, *, as_json: bool = False
) -> Origin:
    """Where a verb asks: as it says itself, or as was said before it."""
    origin: Origin = context.find_root().obj
    origin.server = server or origin.server
    origin.key = key or origin.key
    origin.as_json = as_json
    return origin


def refuse_server(context: typer.Context, detail: str) -> None:
    """A server that was named is not asked: whoever named it means its things.

    Args:
        context: of the command.
        detail: what it works on instead, with `{}` for the server.
    """
    server = origin_of(context, None, None).server
    if server:
        raise PenultimateError(
            detail.format(server),
            code="invalid_request",
            hint="Run the command where the server runs, without --server and PENULTIMATE_SERVER.",
        )


def place_of(origin: Origin) -> str:
    """In which workspace of the home folder; on a server the key says it."""
    return "" if origin.server else f" in workspace '{origin.workspace}'"


def quiet_settings() -> "Settings":
    """The settings, with only errors logged where nobody said how much to log."""
    from service.logs import configure_logs
    from service.settings import Settings

    settings = Settings()
    if "PENULTIMATE_LOG_LEVEL" not in os.environ:
        settings = settings.model_copy(update={"log_level": "error"})
    configure_logs(settings)
    return settings


def _announce_first_use(settings: "Settings") -> None:
    from service.workspace import ENGINES

    if not (settings.home / ENGINES).exists():
        note(f"Preparing {settings.home.absolute()} for its first use ...")


def print_json(answer: Mapping[str, Any]) -> None:
    """An answer for a machine, on standard output."""
    try:
        raw = orjson.dumps(answer, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # a file's name that is no text
        raw = json.dumps(answer, indent=2).encode() + b"\n"
    typer.echo(raw, nl=False)  # as bytes: of a large answer, text would be three more copies


def tell(error: PenultimateError, hints: Mapping[str, str]) -> None:
    """A refusal in words: what, every single problem, and what to do in this verb."""
    note(f"Error: {error.detail or error.title}")
    said = [_line(p) for p in error.problems]
    for line in said[:SHOWN]:
        if line not in error.detail:
            note(f"  - {line}")
    if len(said) > SHOWN:
        note(f"  … and {len(said) - SHOWN} more")
    codes = {str(p.get("code")) for p in error.problems}
    own = hints.get(codes.pop()) if len(codes) == 1 else None
    note_hint(error.code, error.hint, own or hints.get(error.code))


def note_hint(code: str, hint: str, own: str | None = None) -> None:
    """What to do, from a shell; `own` is what a verb knows better."""
    said = own or HINTS.get(code, hint)
    if said:
        note(f"Hint: {said}")


def as_refusal(error: Exception) -> PenultimateError | None:
    """An error that was to be expected, as one that can be told; None for any other."""
    if isinstance(error, PenultimateError):
        return error
    if isinstance(error, OSError) and error.strerror:
        about = f"'{error.filename}': " if error.filename else ""
        return PenultimateError(f"{about}{error.strerror}.", code="os_error")
    if isinstance(error, UnicodeError):
        hint = "Write names in UTF-8; `convmv` renames the files of other systems."
        detail = "A name is not text that can be sent"
        if isinstance(error, UnicodeEncodeError):
            detail += f": {error.object[max(0, error.start - 20) : error.end + 20]!a}"
        return PenultimateError(f"{detail}.", code="invalid_request", hint=hint)
    if "pydantic" in sys.modules:
        refusal = _of_settings(error)
        if refusal is not None:
            return refusal
    if type(error).__module__.partition(".")[0] not in OWN:
        return None
    from service.problems import INTERNAL, full_problem

    said = full_problem(error)
    return None if said == INTERNAL else PenultimateError.from_problem(said)


def _of_settings(error: Exception) -> PenultimateError | None:
    from pydantic import ValidationError

    if not isinstance(error, ValidationError) or error.title != "Settings":
        return None
    lines = [f"PENULTIMATE_{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors()]
    return PenultimateError("; ".join(lines), code="invalid_settings", hint="Change or unset it.")


def _line(problem: Mapping[str, Any]) -> str:
    return str(problem.get("detail", problem.get("code", "")))
