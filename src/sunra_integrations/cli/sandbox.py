"""`sunra sandbox`: the local endpoint, with its own options."""

from __future__ import annotations

import click


@click.command(
    short_help="Serve a local endpoint to try things on.",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def sandbox(arguments: tuple[str, ...]) -> int:
    """Serve a local endpoint that needs no key, no network and no model."""
    try:
        from sunra_integrations.sandbox.__main__ import main as serve  # noqa: PLC0415 - an extra
    except ImportError as missing:  # it says which extra to install
        raise click.ClickException(str(missing)) from missing
    return serve(list(arguments), program="sunra sandbox")
