"""Usage tables: sums by model, and their views."""

from __future__ import annotations

import io
import json

import pandas as pd
import pytest
from rich.console import Console

from sunra_integrations.protocol.reply import parse_usage
from sunra_integrations.usage import ModelUsage, UsageTable
from tests.children import python

USAGE = {
    "prompt_tokens": 10,
    "completion_tokens": 5,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 3},
    "cost": 0.0021,
}


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        (USAGE, ModelUsage(1, 10, 5, 4, 3, 0.0021, 0)),
        ({**USAGE, "cost": 0}, ModelUsage(1, 10, 5, 4, 3, 0.0, 0)),
        ({**USAGE, "cost": None}, ModelUsage(1, 10, 5, 4, 3, 0.0, 1)),
        ({"prompt_tokens": 10}, ModelUsage(1, 10, calls_without_cost=1)),
        (
            {"prompt_tokens": -10, "completion_tokens": 5, "cost": -1},
            ModelUsage(1, 0, 5, 0, 0, 0, 1),
        ),
        (None, ModelUsage(1, calls_without_cost=1)),
    ],
)
def test_one_call_counts_what_the_server_reports(reported, expected):
    assert ModelUsage.of_call(parse_usage(reported)) == expected


def test_costs_add_up_as_decimal_numbers():
    total = ModelUsage()
    for _ in range(10_000):
        total += ModelUsage(calls=1, cost=0.0001)
    assert total == ModelUsage(calls=10_000, cost=1.0)


def test_usages_of_one_model_are_added_and_keep_the_order_of_first_use():
    one, two = ModelUsage(1, 10, 5, cost=0.1), ModelUsage(1, 1, 1, cost=0.2)
    table = UsageTable([("b/b", one), ("a/a", one), ("b/b", two)])
    assert dict(table) == {"b/b": ModelUsage(2, 11, 6, cost=0.3), "a/a": one}
    assert list(table) == ["b/b", "a/a"]
    assert table.total == ModelUsage(3, 21, 11, cost=0.4)
    assert table.total.total_tokens == 32


TABLE = UsageTable(
    {
        "openai/gpt-4o": ModelUsage(1200, 1_000_000, 5, 4, 3, 12.5),
        "x/<b>[bold]": ModelUsage(2, 1, 1, cost=1e-7, calls_without_cost=1),
        "y/z": ModelUsage(1, calls_without_cost=1),
    }.items()
)
EXPECTED = """\
Model          Calls      Input  Cached  Output  Reasoning           Cost
openai/gpt-4o  1,200  1,000,000       4       5          3         $12.50
x/<b>[bold]        2          1       0       1          0   > $0.0000001
y/z                1          0       0       0          0        unknown
Total          1,203  1,000,001       4       6          3  > $12.5000001"""


def test_print_shows_aligned_columns_and_a_total():
    assert str(TABLE) == EXPECTED


def test_rich_shows_the_same_cells():
    console = Console(width=120, file=io.StringIO())
    console.print(TABLE)
    shown = console.file.getvalue()
    for line in EXPECTED.splitlines():
        cells = line.split("  ")
        assert all(cell.strip() in shown for cell in cells)


def test_notebooks_show_escaped_html():
    shown = TABLE._repr_html_()
    assert "<td>x/&lt;b&gt;[bold]</td>" in shown
    assert "<td>$12.50</td>" in shown
    assert shown.count("<tr>") == 5


def test_the_table_is_json():
    stored = json.loads(json.dumps(TABLE.to_dict()))
    assert UsageTable((model, ModelUsage(**usage)) for model, usage in stored.items()) == TABLE


def test_to_pandas_has_a_row_for_each_model():
    frame = TABLE.to_pandas()
    assert isinstance(frame, pd.DataFrame)
    assert frame.loc["openai/gpt-4o", "input_tokens"] == 1_000_000
    assert list(frame.index) == list(TABLE)


def test_to_pandas_without_pandas_says_what_to_install():
    code = (
        "import sys; sys.modules['pandas'] = None\n"
        "from sunra_integrations.usage import UsageTable\n"
        "from sunra_integrations.errors import RequirementNotMet\n"
        "try: UsageTable().to_pandas()\n"
        "except RequirementNotMet as error: print(error)"
    )
    assert python("-c", code).stdout.strip().endswith("pip install pandas")


def test_an_empty_table_has_only_a_total():
    assert str(UsageTable()).splitlines()[1].split() == [
        "Total",
        "0",
        "0",
        "0",
        "0",
        "0",
        "$0.00",
    ]
