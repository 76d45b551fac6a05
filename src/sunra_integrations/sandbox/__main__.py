"""``python -m sunra_integrations.sandbox``: serves the sandbox until Ctrl-C."""

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from typing import TextIO

from sunra_integrations.sandbox.server import Sandbox

_DESCRIPTION = """\
A strict local Sunra endpoint: POST /v1/chat/completions, plain and streamed.

It stands in for the wire, not for a model: requests are held to Sunra's documented contract, and
replies are made, deterministically, of the conversation's own words. Every reply says
"provider": "sandbox"."""

_EPILOG = """\
The first line printed is the base URL. To use it from another shell:

  export SUNRA_BASE_URL=http://127.0.0.1:8111/v1 SUNRA_KEY=sandbox-key
  curl $SUNRA_BASE_URL/chat/completions -H "Authorization: Bearer $SUNRA_KEY" \\
    -H "Content-Type: application/json" \\
    -d '{"model": "sandbox/echo", "messages": [{"role": "user", "content": "Hello"}]}'

Any model of the form vendor/name is served unless --model says otherwise; one whose name holds
"reasoner" or "thinking" also reasons."""


_PROGRAM = "python -m sunra_integrations.sandbox"


def main(arguments: Sequence[str] | None = None, *, program: str = _PROGRAM) -> int:
    """Serves until interrupted; returns the exit status.

    Args:
        arguments: The options; None takes those of the process.
        program: The command's name in its help.
    """
    options = _parser(program).parse_args(arguments)
    _end_like_ctrl_c("SIGTERM", "SIGBREAK")
    sandbox = Sandbox(
        options.port,
        host=options.host,
        models=options.model or None,
        keys=options.key or None,
        keep=0,  # nobody looks at them here, and a server may run for weeks
    )
    try:
        return _serve(sandbox, f"{options.host}:{options.port}")
    except KeyboardInterrupt:
        return 0
    finally:
        sandbox.stop()


def _serve(sandbox: Sandbox, address: str) -> int:
    try:
        sandbox.start()
    except OSError as error:
        _say(f"Cannot listen on {address}: {error.strerror or error}", sys.stderr)
        return 1
    _say(sandbox.base_url)
    _say(_settings(SUNRA_BASE_URL=sandbox.base_url, SUNRA_KEY=sandbox.api_key))
    _say("Serving the sandbox (no model behind it) until Ctrl-C")
    while True:  # on Windows, Ctrl-C interrupts a sleep, but not a wait for a lock
        time.sleep(1)


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program,
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=int, default=8111, help="0 takes a free one (default: 8111)")
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (default: loopback)")
    parser.add_argument(
        "--model", action="append", metavar="VENDOR/NAME", help="serve only these; repeatable"
    )
    parser.add_argument("--key", action="append", help="accept only these keys; repeatable")
    return parser


def _end_like_ctrl_c(*names: str) -> None:
    """Lets these signals end the server, as far as the platform has them (SIGBREAK: Windows)."""
    for name in names:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.default_int_handler)


def _settings(**variables: str) -> str:
    """The command that sets environment variables, for the shell of this platform."""
    if sys.platform == "win32":
        return "; ".join(f"$env:{name} = '{value}'" for name, value in variables.items())
    return "export " + " ".join(f"{name}={value}" for name, value in variables.items())


def _say(line: str, stream: TextIO | None = None) -> None:
    """Writes a line. The server goes on if nobody reads its output, as behind `| head -1`."""
    stream = stream or sys.stdout
    if stream is None:  # without a console, as under pythonw.exe
        return
    try:
        stream.write(line + "\n")
        stream.flush()
    except OSError:  # Windows says EINVAL instead of EPIPE
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


if __name__ == "__main__":
    sys.exit(main())
