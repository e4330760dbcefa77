"""The one base of every error that a single line explains. No torch here: the entry points import it before anything slow."""

from __future__ import annotations


class UserError(ValueError):
    """Something that the user can mend. The message is one line: it names the value that is wrong, and the remedy.

    Entry points print it after "error: " and exit with code 2. Every other exception is a fault of ours and keeps its traceback.
    """
