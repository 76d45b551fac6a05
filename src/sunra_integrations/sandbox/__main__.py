"""``python -m sunra_integrations.sandbox``: serves the sandbox until Ctrl-C."""

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from typing import TextIO

from sunra_integrations.sandbox.server.sandbox import Sandbox

_PROGRAM = "python -m sunra_integrations.sandbox"
_MAX_PORT = 65_535

_DESCRIPTION = """\
A strict local Sunra endpoint: POST /v1/chat/completions and /v1/responses, with and without
streaming.

It emulates the API, not a model. Requests are validated against Sunra's documented API. Replies
are rule-based and deterministic. Every reply has "provider": "sandbox"."""

_EPILOG = """\
The first line printed is the base URL. To use it from another shell:

  export SUNRA_BASE_URL=http://127.0.0.1:8111/v1 SUNRA_KEY=sandbox-key
  curl $SUNRA_BASE_URL/chat/completions -H "Authorization: Bearer $SUNRA_KEY" \\
    -H "Content-Type: application/json" \\
    -d '{"model": "sandbox/echo", "messages": [{"role": "user", "content": "Hello"}]}'

Any model name like vendor/name is served, unless --model is given. A model with "reasoner" or
"thinking" in its name also reasons."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until interrupted. Returns the exit status.

    Args:
        arguments: The options. Defaults to those of the process.
    """
    options = _parser().parse_args(arguments)
    return serve(port=options.port, host=options.host, models=options.model, keys=options.key)


def serve(*, port: int, host: str, models: Sequence[str] | None, keys: Sequence[str] | None) -> int:
    """Serves until interrupted. Returns the exit status.

    Args:
        port: The port. 0 picks a free one.
        host: The address to listen on.
        models: The models to serve. Without any, every name like `vendor/name` is served.
        keys: The keys to accept. Without any, every key is accepted.
    """
    _exit_as_on_ctrl_c("SIGTERM", "SIGBREAK")
    sandbox = Sandbox(
        port,
        host=host,
        models=models or None,
        keys=keys or None,
        keep=0,  # a server that runs for weeks must not keep every request
    )
    try:
        return _serve(sandbox, f"{host}:{port}")
    except KeyboardInterrupt:
        return 0
    finally:
        sandbox.stop()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_PROGRAM,
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
    )
    parser.add_argument("-h", "--help", action="help", help="Show this message and exit.")
    parser.add_argument(
        "--port",
        type=_port,
        default=8111,
        help="Port to listen on. 0 picks a free one. Defaults to 8111.",
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="Address to listen on. Defaults to 127.0.0.1."
    )
    parser.add_argument(
        "--model",
        action="append",
        metavar="VENDOR/NAME",
        help="Serve only this model. Repeatable. Defaults to any model.",
    )
    parser.add_argument(
        "--key", action="append", help="Accept only this key. Repeatable. Defaults to any key."
    )
    return parser


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= _MAX_PORT:
        raise argparse.ArgumentTypeError(f"{port} is not a port from 0 to {_MAX_PORT}")
    return port


def _serve(sandbox: Sandbox, address: str) -> int:
    try:
        sandbox.start()
    except OSError as error:
        problem = f"Error: Cannot listen on {address}: {error.strerror or error}."
        _print(f"{problem} Choose another port with --port; 0 picks a free one.", sys.stderr)
        return 1
    _print(sandbox.base_url)
    _print(_export(SUNRA_BASE_URL=sandbox.base_url, SUNRA_KEY=sandbox.api_key))
    _print("Serving the sandbox (rule-based replies, no model). Press Ctrl-C to stop.")
    while True:  # on Windows, Ctrl-C interrupts a sleep but not a wait for a lock
        time.sleep(1)


def _exit_as_on_ctrl_c(*names: str) -> None:
    """Handles these signals like Ctrl-C, if the platform has them. SIGBREAK is Windows only."""
    for name in names:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.default_int_handler)


def _export(**variables: str) -> str:
    """The command that sets environment variables in the platform's shell."""
    if sys.platform == "win32":
        return "; ".join(f"$env:{name} = '{value}'" for name, value in variables.items())
    return "export " + " ".join(f"{name}={value}" for name, value in variables.items())


def _print(line: str, stream: TextIO | None = None) -> None:
    """Prints a line. A closed pipe is ignored, as behind ``| head -1``."""
    stream = stream or sys.stdout
    if stream is None:  # there is no console, as under pythonw.exe
        return
    try:
        stream.write(line + "\n")
        stream.flush()
    except OSError:  # Windows raises EINVAL, other platforms EPIPE
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


if __name__ == "__main__":
    sys.exit(main())
