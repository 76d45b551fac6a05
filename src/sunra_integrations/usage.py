"""Tokens and costs by model, as a table for a terminal, a notebook or pandas."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from decimal import Decimal
from html import escape
from typing import TYPE_CHECKING, Any

from sunra_integrations.errors import RequirementNotMet
from sunra_integrations.protocol.json_text import as_int
from sunra_integrations.protocol.reply import Usage

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["ModelUsage", "UsageTable"]

COST_ATTRIBUTES = ("llm.cost.total", "gen_ai.usage.cost")
"""The cost of a call on OpenTelemetry spans: OpenInference's name, and the one Langfuse reads."""


@dataclass(frozen=True)
class ModelUsage:
    """Calls, tokens and cost. Add two with `+`."""

    calls: int = 0
    """Calls with a response that may be billed."""
    input_tokens: int = 0
    """Tokens of the requests, cached ones included."""
    output_tokens: int = 0
    """Tokens of the responses, reasoning included."""
    cached_tokens: int = 0
    """Input tokens that were read from the vendor's cache."""
    reasoning_tokens: int = 0
    """Output tokens that the model used for reasoning."""
    cost: float = 0.0
    """US dollars, for the calls whose cost is known."""
    calls_without_cost: int = 0
    """Calls whose cost is unknown: it is not part of `cost`."""

    @classmethod
    def of_call(cls, usage: Usage | None) -> ModelUsage:
        """The usage of one call, from what the server reported; None if it reported nothing.

        A negative number counts as not reported, so no call gives back what others spent.
        """
        if usage is None:
            return cls(calls=1, calls_without_cost=1)
        cost = usage.cost if usage.cost is not None and usage.cost >= 0 else None
        return cls(
            calls=1,
            input_tokens=_count(usage.prompt_tokens),
            output_tokens=_count(usage.completion_tokens),
            cached_tokens=_count(usage.prompt_details.get("cached_tokens")),
            reasoning_tokens=_count(usage.completion_details.get("reasoning_tokens")),
            cost=cost or 0.0,
            calls_without_cost=int(cost is None),
        )

    @property
    def total_tokens(self) -> int:
        """Input and output tokens."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: ModelUsage) -> ModelUsage:
        sums = {
            name: getattr(self, name) + getattr(other, name) for name in _FIELDS if name != "cost"
        }
        return ModelUsage(**sums, cost=_sum(self.cost, other.cost))


_FIELDS = tuple(field.name for field in fields(ModelUsage))


def _count(reported: object) -> int:
    return max(0, as_int(reported) or 0)


def _sum(cost: float, other: float) -> float:
    """The sum of two amounts as decimal numbers: ten thousand times $0.0001 are $1."""
    return float(Decimal(repr(cost)) + Decimal(repr(other)))


class UsageTable(Mapping[str, ModelUsage]):
    """The usage of each model, in the order of first use.

    `print` and `rich` show it as a table, notebooks as HTML, and `to_pandas` returns a DataFrame.

    Args:
        usages: Models and usages. Usages of the same model are added.
    """

    def __init__(self, usages: Iterable[tuple[str, ModelUsage]] = ()) -> None:
        self._usages: dict[str, ModelUsage] = {}
        for model, usage in usages:
            known = self._usages.get(model)
            self._usages[model] = usage if known is None else known + usage

    def __getitem__(self, model: str) -> ModelUsage:
        return self._usages[model]

    def __iter__(self) -> Iterator[str]:
        return iter(self._usages)

    def __len__(self) -> int:
        return len(self._usages)

    @property
    def total(self) -> ModelUsage:
        """The sum over all models."""
        return sum(self._usages.values(), start=ModelUsage())

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """The usage of each model as JSON."""
        return {model: asdict(usage) for model, usage in self._usages.items()}

    def to_pandas(self) -> Any:
        """The table as a `pandas.DataFrame`, one row per model.

        Raises:
            RequirementNotMet: pandas is not installed.
        """
        try:
            import pandas as pd  # type: ignore[import-untyped,unused-ignore] # noqa: PLC0415
        except ImportError as error:
            raise RequirementNotMet(
                "`to_pandas` needs pandas, which is not installed: pip install pandas",
                name="pandas",
            ) from error
        return pd.DataFrame.from_dict(self.to_dict(), orient="index", columns=list(_FIELDS))

    # ── views ────────────────────────────────────────────────────────────────

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._usages!r})"

    def __str__(self) -> str:
        rows = [_HEADINGS, *self._rows()]
        widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
        return "\n".join(
            "  ".join(
                cell.rjust(width) if column else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        )

    def __rich__(self) -> Table:
        """The table for `rich`, which calls this."""
        from rich.markup import escape as as_text  # noqa: PLC0415 - only rich calls this
        from rich.table import Table  # noqa: PLC0415

        table = Table()
        for column, heading in enumerate(_HEADINGS):
            table.add_column(heading, justify="right" if column else "left")
        *rows, total = self._rows()
        for row in rows:
            table.add_row(*map(as_text, row))
        table.add_section()
        table.add_row(*total, style="bold")
        return table

    def _repr_html_(self) -> str:
        """The table for notebooks, which call this."""
        head = "".join(f"<th>{escape(heading)}</th>" for heading in _HEADINGS)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self._rows()
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def _rows(self) -> list[tuple[str, ...]]:
        """The rows with a total at the end, as text."""
        named = [*self._usages.items(), ("Total", self.total)]
        return [(model, *_cells(usage)) for model, usage in named]


_HEADINGS = ("Model", "Calls", "Input", "Cached", "Output", "Reasoning", "Cost")


def _cells(usage: ModelUsage) -> tuple[str, ...]:
    counts = (
        usage.calls,
        usage.input_tokens,
        usage.cached_tokens,
        usage.output_tokens,
        usage.reasoning_tokens,
    )
    return (*(f"{count:,}" for count in counts), _cost(usage))


def _cost(usage: ModelUsage) -> str:
    """The cost with its unit; "unknown" or a lower bound if some calls reported none."""
    if usage.calls and usage.calls_without_cost == usage.calls:
        return "unknown"
    return f"{'> ' if usage.calls_without_cost else ''}{dollars(usage.cost)}"


def dollars(amount: float) -> str:
    """An amount as text, with all its digits and at least two after the point."""
    whole, _, cents = f"{Decimal(str(amount)).normalize():,f}".partition(".")
    return f"${whole}.{cents:0<2}"
