"""`sunra models`: what is known about models, and which ones the gateway lists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import click
from rich.table import Table

from sunra_integrations import errors
from sunra_integrations.cli import options
from sunra_integrations.cli.options import Session
from sunra_integrations.cli.terminal import Terminal
from sunra_integrations.data import last_updated, model_facts, model_names
from sunra_integrations.transport.client import JsonClient

Facts = Mapping[str, Any]
"""The facts about one model; empty if nothing is known."""

_INPUTS = {
    "text": "text_inputs",
    "image": "image_inputs",
    "pdf": "pdf_inputs",
    "audio": "audio_inputs",
    "video": "video_inputs",
}
_OUTPUTS = {
    "text": "text_outputs",
    "image-output": "image_outputs",
    "audio-output": "audio_outputs",
    "video-output": "video_outputs",
}
_ABILITIES = {
    "tools": "tool_calling",
    "structured-output": "structured_output",
    "reasoning": "reasoning_output",
    "temperature": "temperature",
    "open-weights": "open_weights",
}
_MAIN_ABILITIES = 3
"""How many of them a list shows."""
_CAPABILITIES = {**_ABILITIES, **_INPUTS, **_OUTPUTS}
"""The names for `--can`, each with its field of the model data."""

_TOOLS_ON_CHAT = {
    "effort_unset_or_none": 'chat completions; with tools, reasoning effort unset or "none"',
    "effort_none": 'chat completions; tools only with reasoning effort "none", or on responses',
    "never": "chat completions; tools only on responses",
}
_NEED_RESPONSES = ("effort_none", "never")
_PRICES = "not in the packaged data; see https://sunra.ai/models"
_UNDOCUMENTED = "Sunra does not document a list of models (GET /v1/models)"

_EXAMPLES = """
sunra models claude                      # names that contain a text
sunra models --vendor google --can pdf --can tools
sunra models -m openai/gpt-5.6           # everything known about one model
sunra models --json --can reasoning | jq -r '.models[].model'
"""

_NOTES = """
The facts are part of this package: no request is sent, and models that are not listed work, too.
With --gateway, the key is sent to GET /v1/models, which Sunra does not document. If the gateway
has no such list, the packaged facts are shown, and a note says so. Prices are not packaged.
"""


@click.command(
    epilog=options.epilog(
        _EXAMPLES, _NOTES, success="a model was found", failure="no model was found"
    )
)
@click.argument("text", nargs=-1)
@options.model("Show everything known about this model.")
@options.option(
    "--vendor",
    metavar="NAME",
    multiple=True,
    shell_complete=options.completing(lambda: _vendors(model_names())),
    help="List only this vendor's models, such as openai. Repeatable.",
)
@options.option(
    "--can",
    type=click.Choice([*_CAPABILITIES]),
    metavar="CAPABILITY",
    multiple=True,
    help=f"List only models with this capability: {', '.join(_CAPABILITIES)}. Repeatable.",
)
@options.option("--gateway", is_flag=True, help="List the gateway's models, if it has a list.")
@options.base_url
@options.allow_http
@options.timeout
@options.json_output
@options.debug
@click.pass_obj
def models(
    session: Session,
    /,
    *,
    text: tuple[str, ...],
    model: str | None,
    vendor: tuple[str, ...],
    can: tuple[str, ...],
    gateway: bool,
    base_url: str | None,
    timeout: float | None,
    as_json: bool,
) -> int:
    """List known models, or show the facts about one.

    Lists models whose name contains every TEXT, with context window, inputs and abilities.
    """
    if model is not None and (text or vendor or can):
        raise click.UsageError("--model shows one model. It cannot be combined with filters.")
    listed = _gateway_names(session, base_url, timeout) if gateway else None
    source = "packaged" if listed is None else "gateway"
    if model is None:
        names = _matching(model_names() if listed is None else listed, text, vendor, can)
    else:
        names = [model] if model in (listed or ()) or model_facts(model) else []
    found = {name: model_facts(name) or {} for name in names}
    if as_json:
        session.terminal.json(_json_value(found, source))
    elif model is not None:
        _show_details(session.terminal, found, listed)
    else:
        _show_list(session.terminal, found)
    if not found:
        session.terminal.error(_nothing_found(model))
        return 1
    if not as_json:
        session.terminal.note(_summary(found, source, model))
    return 0


# ── finding models ───────────────────────────────────────────────────────────


def _gateway_names(
    session: Session, base_url: str | None, timeout: float | None
) -> list[str] | None:
    """Return the names in the gateway's list; None, with a note, if it has none."""
    client = JsonClient(session.settings(base_url, timeout))
    try:
        listed = client.get("/models")
    except errors.SunraError as error:
        is_missing = error.status in {404, 405, 501} or isinstance(error, errors.UnreadableResponse)
        if not is_missing:
            raise
        listed = None
    match listed:
        case {"data": [*entries]}:
            names = [entry.get("id") for entry in entries if isinstance(entry, dict)]
            return sorted({name for name in names if isinstance(name, str) and name})
        case _:
            session.terminal.note(
                f"{_UNDOCUMENTED}, and this gateway has none. Showing the packaged facts.", "yellow"
            )
            return None


def _matching(
    names: Iterable[str], texts: Sequence[str], vendors: Sequence[str], capabilities: Sequence[str]
) -> list[str]:
    wanted = {vendor.lower() for vendor in vendors}
    found: list[str] = []
    for name in names:
        facts = model_facts(name) or {}
        words = f"{name} {facts.get('name', '')}".lower()
        if (
            all(text.lower() in words for text in texts)
            and (not wanted or name.partition("/")[0].lower() in wanted)
            and all(facts.get(_CAPABILITIES[one]) for one in capabilities)
        ):
            found.append(name)
    return found


def _vendors(names: Iterable[str]) -> list[str]:
    return sorted({name.partition("/")[0] for name in names})


def _nothing_found(model: str | None) -> str:
    if model is None:
        return "No known model matches. Run `sunra models` to list all of them."
    similar = get_close_matches(model.lower(), model_names(), n=3)
    like = f" Similar names: {', '.join(similar)}." if similar else ""
    return f"Nothing is known about {model}, which may work all the same.{like}"


# ── output ───────────────────────────────────────────────────────────────────


_HEADERS = ("model", "context", "output", "inputs", "abilities")
_OTHER_COLUMNS = 66
"""The width of a table without the names."""


def _cells(name: str, facts: Facts) -> tuple[str, ...]:
    abilities = _names(facts, dict([*_ABILITIES.items()][:_MAIN_ABILITIES]))
    if facts.get("chat_completions_tools") in _NEED_RESPONSES:
        abilities = abilities.replace("tools", "tools on responses")
    return (
        name,
        _number(facts.get("max_input_tokens")),
        _number(facts.get("max_output_tokens")),
        _names(facts, _INPUTS),
        abilities,
    )


def _names(facts: Facts, fields: Mapping[str, str]) -> str:
    return ", ".join(name for name, field in fields.items() if facts.get(field))


def _number(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else ""


def _show_list(terminal: Terminal, found: Mapping[str, Facts]) -> None:
    """Show a table; entries on a narrow terminal; in a pipe, fields separated by tabs."""
    rows = [tuple(map(terminal.safe_line, _cells(name, facts))) for name, facts in found.items()]
    widest = max((len(name) for name, *_ in rows), default=0)
    if not terminal.is_terminal:
        for row in rows:
            terminal.write("\t".join(row) + "\n")
    elif widest + _OTHER_COLUMNS <= terminal.out.width:
        terminal.out.print(_table(rows))
    else:
        for name, context, output, *lists in rows:
            size = f"{context} in, {output} out" if context else "nothing is known"
            words = " · ".join(filter(None, [size, *lists]))
            terminal.entry([(f"{name:<{widest}}  ", "bold")], (words, ""))


def _table(rows: Iterable[tuple[str, ...]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in _HEADERS:
        is_number = name in {"context", "output"}
        table.add_column(
            name,
            justify="right" if is_number else "left",
            no_wrap=name not in {"inputs", "abilities"},
        )
    for row in rows:
        table.add_row(*row)
    return table


def _show_details(
    terminal: Terminal, found: Mapping[str, Facts], listed: Sequence[str] | None
) -> None:
    for name, facts in found.items():
        for label, value in _details(name, facts, listed):
            if value:
                terminal.entry(
                    [(f"{label:<{_LABEL_WIDTH}}", "bold")], (terminal.safe_line(value), "")
                )


_LABEL_WIDTH = 18


def _details(name: str, facts: Facts, listed: Sequence[str] | None) -> Iterable[tuple[str, str]]:
    yield "model", name
    if listed is not None:
        yield "gateway", "in its list" if name in listed else "not in its list"
    if not facts:
        yield "facts", "none packaged"
        return
    yield "name", str(facts.get("name", ""))
    yield "context", f"{_number(facts.get('max_input_tokens'))} tokens"
    yield "output", f"at most {_number(facts.get('max_output_tokens'))} tokens"
    yield "inputs", _names(facts, _INPUTS)
    yield "outputs", _names(facts, _OUTPUTS).replace("-output", "")
    yield "abilities", _names(facts, _ABILITIES)
    yield (
        "not supported",
        ", ".join(
            name
            for name, field in _ABILITIES.items()
            if facts.get(field) is False and name != "open-weights"
        ),
    )
    yield "reasoning effort", ", ".join(facts.get("reasoning_effort_levels") or ())
    yield "default effort", str(facts.get("reasoning_effort_default", ""))
    yield "API", _TOOLS_ON_CHAT.get(facts.get("chat_completions_tools", ""), "chat completions")
    yield "prices", _PRICES
    yield "status", str(facts.get("status", ""))
    yield "released", str(facts.get("release_date", ""))
    yield "facts updated", str(facts.get("last_updated", ""))


def _summary(found: Mapping[str, Facts], source: str, model: str | None) -> str:
    if model is not None:
        return f"Next: run `sunra chat -m {model}`, or `sunra probe {model}` to test its features."
    of = "packaged facts" if source == "packaged" else "the gateway's list"
    return (
        f"{len(found):,} models from {of}; facts of {last_updated()}. "
        "Next: run `sunra models -m VENDOR/NAME` for one model."
    )


def _json_value(found: Mapping[str, Facts], source: str) -> dict[str, Any]:
    return {
        "source": source,
        "facts_updated": last_updated().isoformat(),
        "models": [{"model": name, "facts": dict(facts) or None} for name, facts in found.items()],
    }
