"""Budgets and usage tables, as users write them."""

from __future__ import annotations

from typing import Any

from typing_extensions import assert_type

from sunra_integrations.budget import Budget, Price
from sunra_integrations.errors import BudgetExceeded
from sunra_integrations.langchain import ChatSunra
from sunra_integrations.llama_index import Sunra
from sunra_integrations.transport import AsyncSunraClient, SunraClient
from sunra_integrations.usage import ModelUsage, UsageTable


def makes_budgets() -> Budget:
    company = Budget(usd=100)
    Budget(5)
    Budget(0.5, 1_000_000, 20)
    Budget(calls=20, parent=company)
    return Budget(
        tokens=1000,
        prices={"a/b": Price(input=2.5, output=10), "c/d": Price(1, 2, cached_input=0.5)},
    )


def passes_them(budget: Budget) -> None:
    ChatSunra(model="a/b", budget=budget)
    Sunra(model="a/b", budget=budget)
    SunraClient(budget=budget)
    AsyncSunraClient(budget=None)


def spends(chat: ChatSunra) -> str:
    with Budget(usd=1, calls=3) as budget:
        assert_type(budget, Budget)
        try:
            chat.invoke("Hello")
        except BudgetExceeded as error:
            assert_type(error.spent, float)
            assert_type(error.limit, float)
            assert_type(error.unit, str)
    budget.usd = 2
    budget.prices["a/b"] = Price(1, 2)
    assert_type(budget.spent, ModelUsage)
    assert_type(budget.spent.cost, float)
    assert_type(budget.spent.total_tokens, int)
    return str(budget.by_model())


def reads_tables(table: UsageTable) -> None:
    assert_type(table.total, ModelUsage)
    assert_type(table["a/b"].calls, int)
    for model, usage in table.items():
        assert_type(model, str)
        assert_type(usage + usage, ModelUsage)
    UsageTable([("a/b", ModelUsage(calls=1))])


def stores(budget: Budget) -> Budget:
    stored = budget.to_dict()
    assert_type(stored, dict[str, Any])
    return Budget.from_dict(stored, parent=Budget())
