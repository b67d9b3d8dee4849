"""The verbs of a client, each written once in `calls`: blocking, and not. Knows no transport."""

import asyncio
import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from typing import Concatenate, ParamSpec, TypeVar

from service import calls
from service.exchange import Asking, sign

P = ParamSpec("P")
T = TypeVar("T")


def _verb(build: Callable[P, Asking[T]]) -> "Callable[Concatenate[Verbs, P], T]":
    @functools.wraps(build)
    def method(self: "Verbs", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.run(build(*args, **kwargs))

    sign(method, build)
    return method


def _async_verb(
    build: Callable[P, Asking[T]],
) -> "Callable[Concatenate[AsyncVerbs, P], Coroutine[None, None, T]]":
    @functools.wraps(build)
    async def method(self: "AsyncVerbs", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.run(await asyncio.to_thread(build, *args, **kwargs))

    sign(method, build)
    return method


class Verbs(ABC):
    """What a client can be asked; a client says how requests travel."""

    @abstractmethod
    def run(self, flow: Asking[T]) -> T:
        """Sends the requests of one flow."""

    predict = _verb(calls.predict)
    embed = _verb(calls.embed)
    search = _verb(calls.search)
    datasets = _verb(calls.datasets)
    dataset = _verb(calls.dataset)
    delete_dataset = _verb(calls.delete_dataset)
    ingest = _verb(calls.ingest)
    put_labels = _verb(calls.put_labels)
    look = _verb(calls.look)
    compare = _verb(calls.compare)
    learn = _verb(calls.learn)
    heads = _verb(calls.heads)
    head = _verb(calls.head)
    card = _verb(calls.card)
    report = _verb(calls.report)
    export_head = _verb(calls.export_head)
    import_head = _verb(calls.import_head)
    suspects = _verb(calls.suspects)
    next_to_label = _verb(calls.next_to_label)
    validate_head = _verb(calls.validate_head)
    promote = _verb(calls.promote)
    protect = _verb(calls.protect)
    history = _verb(calls.history)
    delete_head = _verb(calls.delete_head)
    delete_version = _verb(calls.delete_version)
    jobs = _verb(calls.jobs)
    job = _verb(calls.job)
    cancel = _verb(calls.cancel)
    wait = _verb(calls.wait)
    erase = _verb(calls.erase)
    create_key = _verb(calls.create_key)
    keys = _verb(calls.keys)
    revoke_key = _verb(calls.revoke_key)
    audit = _verb(calls.audit)
    check_audit = _verb(calls.check_audit)
    spaces = _verb(calls.spaces)
    ready = _verb(calls.ready)


class AsyncVerbs(ABC):
    """What a client that does not block can be asked."""

    @abstractmethod
    async def run(self, flow: Asking[T]) -> T:
        """Sends the requests of one flow."""

    predict = _async_verb(calls.predict)
    embed = _async_verb(calls.embed)
    search = _async_verb(calls.search)
    datasets = _async_verb(calls.datasets)
    dataset = _async_verb(calls.dataset)
    delete_dataset = _async_verb(calls.delete_dataset)
    ingest = _async_verb(calls.ingest)
    put_labels = _async_verb(calls.put_labels)
    look = _async_verb(calls.look)
    compare = _async_verb(calls.compare)
    learn = _async_verb(calls.learn)
    heads = _async_verb(calls.heads)
    head = _async_verb(calls.head)
    card = _async_verb(calls.card)
    report = _async_verb(calls.report)
    export_head = _async_verb(calls.export_head)
    import_head = _async_verb(calls.import_head)
    suspects = _async_verb(calls.suspects)
    next_to_label = _async_verb(calls.next_to_label)
    validate_head = _async_verb(calls.validate_head)
    promote = _async_verb(calls.promote)
    protect = _async_verb(calls.protect)
    history = _async_verb(calls.history)
    delete_head = _async_verb(calls.delete_head)
    delete_version = _async_verb(calls.delete_version)
    jobs = _async_verb(calls.jobs)
    job = _async_verb(calls.job)
    cancel = _async_verb(calls.cancel)
    wait = _async_verb(calls.wait)
    erase = _async_verb(calls.erase)
    create_key = _async_verb(calls.create_key)
    keys = _async_verb(calls.keys)
    revoke_key = _async_verb(calls.revoke_key)
    audit = _async_verb(calls.audit)
    check_audit = _async_verb(calls.check_audit)
    spaces = _async_verb(calls.spaces)
    ready = _async_verb(calls.ready)
