"""`sunra sandbox`: the options of `python -m sunra_integrations.sandbox`, as a command."""

from __future__ import annotations

import click

from sunra_integrations.cli import options

_MAX_PORT = 65_535

_EXAMPLES = """
sunra sandbox                    # at http://127.0.0.1:8111/v1
sunra sandbox --port 0           # on a free port
sunra sandbox --model openai/gpt-4o --key my-key
export SUNRA_BASE_URL=http://127.0.0.1:8111/v1 SUNRA_KEY=sandbox-key
sunra chat -m sandbox/echo "Hi"  # in another shell, after the line above
"""

_NOTES = """
The first line printed is the base URL. Requests are validated against Sunra's documented API.
Replies are rule-based and the same every time, and each has "provider": "sandbox". A model with
"reasoner" or "thinking" in its name also reasons. The OpenAPI document is at /openapi.json.
"""


@click.command(
    epilog=options.epilog(
        _EXAMPLES,
        _NOTES,
        success="stopped with Ctrl-C or SIGTERM",
        failure="the server cannot start, for example because the port is in use",
        interrupted=False,
    )
)
@options.option(
    "--port",
    type=click.IntRange(0, _MAX_PORT),
    default=8111,
    metavar="PORT",
    help="Port to listen on. 0 picks a free one. Defaults to 8111.",
)
@options.option(
    "--host",
    default="127.0.0.1",
    metavar="HOST",
    help="Address to listen on. Defaults to 127.0.0.1.",
)
@options.option(
    "--model",
    "-m",
    "models",
    multiple=True,
    metavar="VENDOR/NAME",
    shell_complete=options.complete_model,
    help="Serve only this model. Repeatable. Defaults to any model.",
)
@options.option(
    "--key",
    "keys",
    multiple=True,
    metavar="KEY",
    help="Accept only this key. Repeatable. Defaults to any key.",
)
@options.debug
def sandbox(port: int, host: str, models: tuple[str, ...], keys: tuple[str, ...]) -> int:
    """Run a local server to develop and test with.

    It needs no account and no network. It emulates the API, not a model.
    """
    try:
        from sunra_integrations.sandbox.__main__ import serve  # noqa: PLC0415 - an extra
    except ImportError as missing:  # its message says which extra to install
        raise click.ClickException(str(missing)) from missing
    return serve(port=port, host=host, models=models, keys=keys)
