"""Hints that are printed behind an error, and the shell command that sets a variable."""

from __future__ import annotations

import sys

from sunra_integrations import errors

KEYS_URL = "https://sunra.ai/dashboard/api-tokens"

_IN_PYTHON = " The partial reply is available as `error.partial`."
"""The end of the message of a `StreamInterrupted`: the command has printed the partial reply."""


def set_variable(name: str, value: str) -> str:
    """Return the command that sets an environment variable, for PowerShell on Windows or for sh."""
    return f"$env:{name} = '{value}'" if sys.platform == "win32" else f"export {name}={value}"


def message_with_hint(error: errors.SunraError) -> str:
    """Return what went wrong, and what the user can do about it in a shell."""
    if is_missing_key(error):
        run = set_variable("SUNRA_KEY", "…")
        return f"No Sunra key. Run `{run}` with a key from {KEYS_URL}, or try `sunra sandbox`."
    return f"{error.message.removesuffix(_IN_PYTHON)} {hint(error)}"


def is_missing_key(error: errors.SunraError) -> bool:
    """Whether there is no key. The message of the error is about Python."""
    return error.message.startswith("No Sunra key")


def hint(error: errors.SunraError) -> str:
    """Return what the user can do about an error; empty if the message already says it."""
    match error:
        case errors.RateLimited(retry_after=float() | int() as seconds):
            return f"Try again in {seconds:.0f} s."
        case errors.RateLimited() | errors.Overloaded():
            return "Try again later."
        case errors.ServerFailed() | errors.ConnectionFailed() | errors.PermissionDenied():
            return error.fix
        case errors.TimedOut():
            return "Try again, increase --timeout, or run `sunra doctor`."
        case errors.StreamInterrupted():
            return "Try again to get the complete reply."
        case (
            errors.ConfigurationError()
            | errors.UnsupportedParameter()
            | errors.UnsupportedContent()
        ):
            return _in_a_shell(error.message)
        case _:
            return ""


def _in_a_shell(message: str) -> str:
    """Return the option or command for a message that names a parameter or variable."""
    if "allow_http" in message:
        return "On the command line, use --allow-http."
    if 'api="responses"' in message:
        return "On the command line, use --api responses."
    if "api='chat'" in message:
        return "On the command line, use --api chat."
    return ""
