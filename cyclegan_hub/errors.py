"""The base of every error that one line explains, and how a command ends. No torch here, and nothing slow to import."""

from __future__ import annotations

import codecs
import os
import re
import select
import sys
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager


class UserError(ValueError):
    """An error that the user can fix. The message is one line that names the wrong value and the remedy.

    Entry points print it after "error: " and exit with code 2. Every other exception is a bug and keeps its traceback.
    """


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or its type; without URLs, because those of uploads contain a signature."""
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return re.sub(r" for url:? '?https?://[^\s']+'?", "", line)


def counted(count: int, noun: str = "image", verb: str = "") -> str:
    """A count with its noun and perhaps a verb, which is given as a plural: "1 image", "1,200 images are", "1 image is"."""
    if count == 1:
        return f"1 {noun} {({'are': 'is', 'have': 'has'}).get(verb, verb)}".rstrip()
    return f"{count:,} {noun}{'es' if noun.endswith('s') else 's'} {verb}".rstrip()


def shortened(names: Sequence[str], shown: int = 10) -> str:
    """The first `shown` names in one line, and the number of the others."""
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if len(names) > shown else "")


def limit_threads() -> None:
    """Sets environment variables that torch reads when it is imported; what the user set stays.

    Threads that spin for as long as they wait made a step ten times slower on a busy machine; ones that never do, 9 % slower
    on an idle one (smile-compact, batch 16, two cores). These spin for some tens of microseconds.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "30000")


@contextmanager
def files_explained() -> Iterator[None]:
    """Turns a file that cannot be read or written into a UserError that names it."""
    try:
        yield
    except OSError as error:
        if isinstance(error, BrokenPipeError) and _no_one_reads():
            raise
        where = f"{error.filename}: " if error.filename is not None else ""
        raise UserError(f"{where}{error.strerror or error}: check the path, permissions and free space") from error


def exit_code(command: Callable[[], int]) -> int:
    """Runs a command and returns its exit code: 2 after one line `error: ...` for a UserError, which is printed to stderr.

    A console that cannot show a character (cp1252 has no arrow) gets a plain one instead of a crash. Where the reader of the
    output has left, as `| head` does, the command ends silently with 141, as `cat FILE | head` does in a shell.
    """
    _make_printable()
    try:
        code = command()
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except BrokenPipeError:
        if not _no_one_reads():
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # takes what Python still has to write when it ends
        return 141
    except UserError as error:
        rank = os.environ.get("RANK", "0")
        print(f"error{'' if rank == '0' else f' (process {rank})'}: {error}", file=sys.stderr)
        return 2


def _no_one_reads() -> bool:
    """Whether standard output is a pipe whose other end is closed. A worker's or a socket's broken pipe is another matter."""
    if sys.stdout is None or not hasattr(select, "poll"):  # Windows has no poll, and no such error either
        return False
    try:
        state = select.poll()
        state.register(sys.stdout.fileno(), select.POLLOUT)
    except (OSError, ValueError):  # a notebook's stream is no file
        return False
    return any(event & select.POLLERR for _, event in state.poll(0))


_PLAIN = dict(zip("→←↔…\u2013\u2014≥≤\u00d7·", ("->", "<-", "<->", "...", "-", "-", ">=", "<=", "x", "-"), strict=True))


def _plain(error: UnicodeError) -> tuple[str | bytes, int]:
    """Plain characters for those that an encoding does not have, as a handler of `codecs.register_error`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = []
    for c in error.object[error.start : error.end]:
        if "\udc80" <= c <= "\udcff":  # a byte of a file's name that is not UTF-8, as Python's strings hold it
            letters.append(f"\\x{ord(c) - 0xDC00:02x}")
        else:
            letters.append(_PLAIN.get(c) or unicodedata.normalize("NFKD", c).encode("ascii", "ignore").decode() or "?")
    return "".join(letters), error.end


codecs.register_error("cyclegan_hub.plain", _plain)


def _make_printable() -> None:
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)  # a notebook's streams have none, and take every character
        if reconfigure is not None and getattr(stream, "errors", None) in ("strict", None):
            reconfigure(errors="cyclegan_hub.plain")
