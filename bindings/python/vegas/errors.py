"""Exceptions: one class for each code, all of them VegasErrors."""

from ._spec import (
    ERRORS,
    AccessDeniedError,
    BadOptionError,
    BufferFullError,
    ClosedError,
    DeadlineError,
    EarlierFailedError,
    EngineGoneError,
    EngineMissingError,
    FailedError,
    GraceOverError,
    HandlerError,
    KillsProcessError,
    LeaseLostError,
    NotFoundError,
    OverrunError,
    ProtocolError,
    ThrottledError,
    TimeoutError,
    TooLargeError,
    TrimmedError,
    UnreachableError,
    VegasError,
    VersionError,
)

__all__ = ["VegasError", *sorted(e.__name__ for e in ERRORS.values())]
