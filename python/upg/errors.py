"""What can go wrong.  Every failure of the library is a subclass of `upg.Error`, and of the built-in exception that a
Python programmer would expect.  The message names file and field, what is wrong and what to do."""


class Error(Exception):
    """Base of all errors that the library reports."""


class ArgumentError(Error, ValueError):
    """An argument is out of range or contradicts another one."""


class FileError(Error, OSError):
    """The system refused to open, read, write or map a file."""


class FormatError(Error, ValueError):
    """A file is damaged or lies about itself."""


class UnsupportedError(Error):
    """A file or request is fine but asks for something that this version does not do."""


class OutOfMemoryError(Error, MemoryError):
    """Out of memory."""


class SpaceError(Error, OSError):
    """Out of disk space."""


class ContextError(Error, ValueError):
    """Prompt and answer would be longer than the context."""


class CancelledError(Error):
    """A call was asked to stop."""


class InternalError(Error, RuntimeError):
    """A bug in upg."""


class BusyError(Error):
    """Too many requests wait already; try again later."""


class ClosedError(Error, ValueError):
    """The model or session was closed."""


# The index is the number of the upg_status in upg/upg.h; upg._native reads it.
BY_STATUS = (Error, ArgumentError, FileError, FormatError, UnsupportedError, OutOfMemoryError, SpaceError,
             ContextError, CancelledError, InternalError, BusyError)
