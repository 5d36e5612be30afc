"""The one error a person may see: wrong input, told in one line.

Every message names the file, the value, the likely cause and the choices.
The command line prints it on stderr and exits with 1 (2 for wrong usage); a traceback is a bug.
"""


class InputError(Exception):
    """What was given cannot be used; the message is one line that a musician understands."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class UsageError(InputError):
    """A wrong option value, such as 0 bars; the command line exits with 2."""
