"""What to do about an error, and how to set a variable in the shell of this platform."""

from __future__ import annotations

import sys

from sunra_integrations import errors


def setting(name: str, value: str) -> str:
    """The command that sets an environment variable: of PowerShell on Windows, else of `sh`."""
    return f"$env:{name} = '{value}'" if sys.platform == "win32" else f"export {name}={value}"


def advice(error: errors.SunraError) -> str:
    """A sentence for who sits at the terminal; empty where there is nothing to add."""
    match error:
        case errors.RateLimited(retry_after=float() | int() as seconds):
            return f"Try again in {seconds:.0f} s."
        case errors.RateLimited() | errors.Overloaded():
            return "Try again in a while."
        case errors.ServerFailed():
            return "Try again, or ask another model."
        case errors.ConnectionFailed():
            return "Run `sunra doctor` to see where it ends."
        case errors.TimedOut():
            return "Try again, raise --timeout, or run `sunra doctor`."
        case errors.StreamInterrupted():
            return "Ask again for the whole answer."
        case errors.ConfigurationError() if "allow_http" in error.message:
            return "On the command line that is --allow-http."
        case errors.ConfigurationError() if error.message.startswith("No Sunra key"):
            return f"Run `{setting('SUNRA_KEY', '…')}`, or `sunra sandbox` to try without a key."
        case errors.PermissionDenied():
            return "Check what the key's account may use, or ask another model."
        case _:
            return ""
