"""The bytes of images, as files named by their digest. Knows nothing of what the bytes mean."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from secrets import token_hex

from features.disk import flush, make_folder, reaching, write_new
from features.drafts import Drafts, draft_of, holds
from features.errors import StoreDamaged, UnknownDigest
from features.keys import digest, is_digest
from features.locks import FileLock, locked_if_free

ADDING = ".adding"
"""Folder with a file for each `adding` block that has not ended well."""


class Blobs:
    """A folder of files that only the user who runs the process can read.

    A file appears whole under its final name or not at all. Thread-safe; processes may share it.
    Every method raises `StoreUnavailable` when the disk refuses.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, data: bytes) -> str:
        """Keep the bytes, durably on return, and return their digest."""
        name = digest(data)
        path = self.path(name)
        with reaching(path):
            if not holds(path, data):
                make_folder(path.parent)
                new = draft_of(path)
                write_new(new, data)
                new.replace(path)
                flush(path.parent)
        return name

    @contextmanager
    def putting(self, contents: Mapping[str, bytes]) -> Iterator[Callable[[Collection[str]], None]]:
        """Begin to write many images, for a block that meanwhile finds out which are to be kept.

        Args:
            contents: digest → bytes.

        Yields:
            What keeps some of them, durably when it returns; the others are gone after the block.
        """
        with Drafts(contents, self.path, self._root) as drafts:

            def keep(names: Collection[str]) -> None:
                for name in drafts.keep(names):
                    # Whoever erases an image takes away what is half-written of it, too.
                    self.put(contents[name])

            yield keep

    def get(self, name: str) -> bytes:
        """Return the bytes of a digest.

        Raises:
            UnknownDigest: they are not kept.
            StoreDamaged: what is kept under that name is something else.
        """
        if not self.has(name):
            raise UnknownDigest([name])
        path = self.path(name)
        with reaching(path):
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                raise UnknownDigest([name]) from None
        if digest(data) != name:
            hint = "Send the image again, or restore the file from a backup."
            raise StoreDamaged(str(path), "its bytes are not those it is named by", hint=hint)
        return data

    def has(self, name: str) -> bool:
        """Say whether bytes are kept under this digest."""
        with reaching(self._root):
            return is_digest(name) and self.path(name).is_file()

    def delete(self, name: str) -> bool:
        """Erase the bytes, durably on return; say whether there were any."""
        if not is_digest(name):
            return False
        path = self.path(name)
        with reaching(path):
            there = path.is_file()
            # A write that was killed half-way leaves the same bytes under another name.
            doomed = [*path.parent.glob(f".{name}.*"), path]
            for left_over in doomed:
                left_over.unlink(missing_ok=True)
            if there or len(doomed) > 1:
                flush(path.parent)
        return there

    def digests(self) -> Iterator[str]:
        """Yield the digests of all that is kept, in order."""
        with reaching(self._root):
            for path in sorted(self._root.glob("??/*")):
                if is_digest(path.name):
                    yield path.name

    @contextmanager
    def adding(self, names: Collection[str]) -> Iterator[None]:
        """Note that bytes are about to be put which nothing refers to until the block has ended.

        If it fails, or the process dies in it, `abandoned` names those that were not kept before.
        """
        new = [name for name in names if not self.has(name)]
        if not new:
            yield
            return
        note = self._root / ADDING / token_hex(8)
        with FileLock([note]):
            with reaching(note):
                note.write_text("\n".join(new), encoding="ascii")
                flush(note)
                flush(note.parent)
            yield
            with reaching(note):
                note.unlink()

    @contextmanager
    def abandoned(self) -> Iterator[set[str]]:
        """Yield what was put in `adding` blocks that came to no good end; then forget these."""
        with ExitStack() as held:
            notes = [
                note
                for note in sorted((self._root / ADDING).glob("*"))
                if held.enter_context(locked_if_free(note))
            ]
            with reaching(self._root):
                words = [note.read_text(encoding="ascii", errors="replace") for note in notes]
            yield {name for text in words for name in text.split() if is_digest(name)}
            with reaching(self._root):
                for note in notes:
                    note.unlink(missing_ok=True)

    def path(self, name: str) -> Path:
        """Return where the bytes of a digest are, or would be.

        In one of 256 folders: each is there from the first few hundred images on, and thousands of
        files in it are no burden. To make and flush one of 65,536 would cost each image as much as
        its file.
        """
        return self._root / name[:2] / name
