"""What can go wrong."""

from __future__ import annotations


class UpliftError(Exception):
    """Anything that goes wrong here."""


class UpliftUnavailable(UpliftError):
    """The server cannot be reached, is not ready, or is asked too often. It is worth another try later."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        """When to try again, seconds, where the server says so."""


class UpliftRefused(UpliftError):
    """The server says no. Another try would not help."""

    def __init__(self, status: int, code: str, detail: str, remedy: str = "") -> None:
        super().__init__(f"{detail} ({code})" + (f": {remedy}" if remedy else ""))
        self.status = status
        """The status of HTTP."""
        self.code = code
        """The stable name; its page is at `/errors/CODE` of the server."""
        self.detail = detail
        """What happened."""
        self.remedy = remedy
        """What to do."""
