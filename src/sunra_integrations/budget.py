"""Budgets: limits on the cost, tokens and number of calls, for any number of models and clients."""

from __future__ import annotations

import math
import os
import threading
from collections import deque
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from pickle import PicklingError
from types import TracebackType
from typing import Any, NamedTuple, NoReturn, cast

from typing_extensions import Self

from sunra_integrations.errors import (
    BudgetExceeded,
    ConfigurationError,
    InvalidParameter,
    SunraError,
)
from sunra_integrations.protocol.accumulator import ReplyAccumulator
from sunra_integrations.protocol.reply import Reply, Usage, parse_usage
from sunra_integrations.protocol.request import ChatRequest
from sunra_integrations.usage import ModelUsage, UsageTable, dollars

__all__ = ["Budget", "Price"]

_TOKENS_PER_PRICE = 1_000_000
_LIMITS: dict[str, tuple[type, ...]] = {"usd": (int, float), "tokens": (int,), "calls": (int,)}


@dataclass(frozen=True)
class Price:
    """The price of a model, in US dollars per million tokens.

    Raises:
        InvalidParameter: A price is negative or not a number.
    """

    input: float
    output: float
    cached_input: float | None = None
    """Input tokens that were read from the vendor's cache. Defaults to `input`."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None or name != "cached_input":
                _check_amount(name, value)

    def cost(self, usage: ModelUsage) -> float:
        """The cost of the tokens, in US dollars."""
        cached = min(usage.cached_tokens, usage.input_tokens)
        rows = (
            (self.input, usage.input_tokens - cached),
            (self.input if self.cached_input is None else self.cached_input, cached),
            (self.output, usage.output_tokens),
        )
        # In decimal numbers, as the costs are added.
        return float(
            sum(Decimal(str(price)) * tokens for price, tokens in rows) / _TOKENS_PER_PRICE
        )


class Budget:
    """Limits for the calls of any number of models and clients, in all threads and event loops.

    ::

        budget = Budget(usd=5, tokens=1_000_000)
        chat = ChatSunra(model="openai/gpt-4o", budget=budget)
        llm = Sunra(model="openai/gpt-4o-mini", budget=budget)

        with Budget(calls=20):  # every Sunra call in this block counts, whatever its model
            agent.invoke(question)

    Budgets can be nested: a call counts for its model's budget, for all `with` blocks around it,
    and for the `parent` of each. If one of them is spent, the call raises `BudgetExceeded` before
    anything is sent. In a `with` block, tasks and the executors of both frameworks are included;
    a plain `threading.Thread` is not.

    `usd` and `tokens` of a call are known when it ends. So calls in progress can exceed these
    limits, by no more than their own usage. `calls` is exact.

    A call counts when its response begins with a success status, because it may be billed from
    then on. Retries belong to their call. Error responses, failed connections and replies from
    LangChain's cache do not count. The usage of an interrupted or abandoned stream counts as far
    as it was received. Otherwise, it is a call of unknown cost (`spent.calls_without_cost`).

    If a complete reply reports no cost, its cost is computed from `prices`. Without a price, a
    budget with `usd` refuses the next call with a `ConfigurationError`. If a complete reply reports
    no usage, as with `stream_usage=False`, a budget with `usd` or `tokens` does so too. The limits
    and prices are attributes that can be changed at any time.

    A call counts under the model of its request. If the request lets the gateway choose among
    several (`models` in `extra_body`), it counts under the one that replied.

    Args:
        usd: Most to spend, in US dollars, by the cost that replies report. Defaults to no limit.
        tokens: Most tokens, input and output. Defaults to no limit.
        calls: Most calls. Defaults to no limit.
        prices: Price by model, for replies that report no cost.
        parent: A budget that the calls count for too.

    Raises:
        InvalidParameter: A limit is negative or not a number, or a price is not a `Price`.
    """

    def __init__(
        self,
        usd: float | None = None,
        tokens: int | None = None,
        calls: int | None = None,
        *,
        prices: Mapping[str, Price] | None = None,
        parent: Budget | None = None,
    ) -> None:
        self.usd: float | None = usd
        self.tokens: int | None = tokens
        self.calls: int | None = calls
        self.prices: dict[str, Price] = cast("dict[str, Price]", {} if prices is None else prices)
        self.ledger: Ledger = Ledger(self, check_budget(parent, "parent"))

    def __setattr__(self, name: str, value: Any) -> None:
        """Sets a limit or the prices.

        Raises:
            InvalidParameter: As for the constructor.
        """
        if name == "prices":
            value = _checked_prices(value)
        elif name in _LIMITS and value is not None:
            _check_amount(name, value, _LIMITS[name])
        super().__setattr__(name, value)

    @property
    def spent(self) -> ModelUsage:
        """The sum of all calls that ended."""
        with _lock:
            self.ledger.count()
            return self.ledger.spent

    def by_model(self) -> UsageTable:
        """The calls, tokens and cost of each model, as a table."""
        with _lock:
            self.ledger.count()
            return UsageTable(self.ledger.usages.items())

    def __enter__(self) -> Self:
        block = _Block(self)
        self.ledger.blocks.append(block)
        _active.set((*_active.get(), block))
        return self

    def __exit__(self, *_: object) -> None:
        # Async generators and fixtures of async tests may leave a block in another context, which a
        # token of `_active.set` does not allow. There, the block is known if it is the only one.
        active, blocks = _active.get(), self.ledger.blocks
        here = [block for block in active if block.budget is self and block.is_open]
        left = here[-1] if here else blocks[0] if len(blocks) == 1 else None
        if left is not None:
            left.is_open = False
            blocks.remove(left)
        _active.set(tuple(block for block in active if block.is_open))

    def __repr__(self) -> str:
        spent = self.spent
        of_usd = "" if self.usd is None else f" of {dollars(self.usd)}"
        of_tokens = "" if self.tokens is None else f" of {self.tokens:,}"
        of_calls = "" if self.calls is None else f" of {self.calls:,}"
        return (
            f"<Budget: {dollars(spent.cost)}{of_usd}, {spent.total_tokens:,}{of_tokens} tokens, "
            f"{spent.calls:,}{of_calls} calls>"
        )

    # ── storage and copies ───────────────────────────────────────────────────

    def to_dict(self) -> dict[str, Any]:
        """Limits, prices and usage as JSON, without calls in progress and without the parent."""
        return {
            "usd": self.usd,
            "tokens": self.tokens,
            "calls": self.calls,
            "prices": {model: asdict(price) for model, price in self.prices.items()},
            "spent": self.by_model().to_dict(),
            "unknown": dict(self.ledger.unknown),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, parent: Budget | None = None) -> Self:
        """The budget that `to_dict` was called on, such as before a restart.

        Args:
            data: The stored dict. Change its limits or prices if they are different now.
            parent: A budget that the calls from now on count for too.

        Raises:
            InvalidParameter: This is not a dict from `to_dict`.
        """
        try:
            prices = {model: Price(**price) for model, price in data["prices"].items()}
            limits = [data[name] for name in ("usd", "tokens", "calls")]
            usages = {model: ModelUsage(**usage) for model, usage in data["spent"].items()}
            budget = cls(*limits, prices=prices, parent=parent)
            budget.ledger.usages = usages
            budget.ledger.spent = UsageTable(usages.items()).total
            budget.ledger.unknown = dict(data["unknown"])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InvalidParameter(
                f"`data` is not a budget from `to_dict`: {type(error).__name__}: {error}.",
                parameter="data",
                rule="a dict from `Budget.to_dict`",
            ) from error
        return budget

    def __copy__(self) -> Self:
        """The same object: copies of a model share its budget."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """The same object: copies of a model share its budget."""
        return self

    def __reduce__(self) -> NoReturn:
        raise PicklingError(
            "A Budget cannot be pickled: each process would spend all of it. Create one with a "
            "share of the limits in each process (`budget=…`, or `with Budget(…):` around its "
            "work). To move a budget to another process, use `to_dict` and `from_dict`."
        )


class _Ended(NamedTuple):
    """A call that ended."""

    model: str
    usage: Usage | None
    is_billed: bool
    is_complete: bool
    """Whether the server sent the whole reply, so no usage can follow."""


class Ledger:
    """Counts the calls of one budget, and refuses them if it is spent.

    Args:
        budget: The budget, which has the limits and prices.
        parent: The budget that the calls count for too.
    """

    def __init__(self, budget: Budget, parent: Budget | None) -> None:
        self._budget = budget
        self.parent: Budget | None = parent
        self.usages: dict[str, ModelUsage] = {}
        self.spent: ModelUsage = ModelUsage()
        self.unknown: dict[str, str] = {}
        """The models of complete replies without "cost" or without "usage"."""
        self.blocks: list[_Block] = []
        """The `with` blocks that are open, in all contexts."""
        self.in_progress: int = 0
        self.ended: deque[_Ended] = deque()
        """The calls that ended and are not counted yet."""
        self._counting: object = None
        """The lock under which the calls are being counted: not that of a forked process."""

    def check(self) -> None:
        """Raises if another call must not begin. The caller holds the lock."""
        self.count()
        budget, spent = self._budget, self.spent
        calls = spent.calls + self.in_progress
        if budget.usd is not None and spent.cost >= budget.usd:
            raise _exceeded("usd", spent.cost, budget.usd, dollars(spent.cost), dollars(budget.usd))
        if budget.tokens is not None and spent.total_tokens >= budget.tokens:
            amount, limit = f"{spent.total_tokens:,}", f"{budget.tokens:,} tokens"
            raise _exceeded("tokens", spent.total_tokens, budget.tokens, amount, limit)
        if budget.calls is not None and calls >= budget.calls:
            limit = f"{budget.calls:,} call{'s' * (budget.calls != 1)}"
            raise _exceeded("calls", calls, budget.calls, f"{calls:,}", limit)
        self._check_reported()

    def _check_reported(self) -> None:
        """Raises if the usage cannot be counted in the unit of a limit."""
        budget = self._budget
        unmetered, unpriced = self.unknown.get("usage"), self.unknown.get("cost")
        if unmetered and (budget.tokens is not None or (budget.usd is not None and unpriced)):
            raise ConfigurationError(
                f"A reply of {unmetered} reported no token usage, so the budget cannot hold its "
                "limits of `usd` and `tokens`. Request the usage of streams (leave out "
                "`stream_usage=False` and `stream_options`), or limit `calls` instead."
            )
        if unpriced and budget.usd is not None and unpriced not in budget.prices:
            raise ConfigurationError(
                f"A reply of {unpriced} reported no cost, so the budget cannot hold its limit of "
                "`usd`. Pass the price in US dollars per million tokens: "
                f'`Budget(…, prices={{"{unpriced}": Price(input=…, output=…)}})`.'
            )

    def count(self) -> None:
        """Counts the calls that ended. The caller holds the lock."""
        if self._counting is _lock:  # the caller is a signal handler that interrupted this method
            return
        self._counting = _lock
        try:
            while self.ended:
                self._add(self.ended[0])
        finally:
            self._counting = None

    def _add(self, ended: _Ended) -> None:
        model, usage = ended.model, ModelUsage.of_call(ended.usage)
        if usage.calls_without_cost and usage.total_tokens and model in self._budget.prices:
            cost = self._budget.prices[model].cost(usage)
            usage = replace(usage, cost=cost, calls_without_cost=0)
        self.ended.popleft()  # after the user's price, which may raise
        self.in_progress -= 1
        if not ended.is_billed:
            return
        if ended.is_complete and usage.calls_without_cost:
            self.unknown["cost"] = model
        if ended.is_complete and not usage.total_tokens:
            self.unknown.setdefault("usage", model)
        self.usages[model] = self.usages.get(model, ModelUsage()) + usage
        self.spent = UsageTable(self.usages.items()).total


def charge_for(own: Budget | None, request: ChatRequest) -> Charge:
    """The charge of a call for each budget that applies to it, as a context manager around it.

    Args:
        own: The client's budget.
        request: The request.

    Raises:
        BudgetExceeded: A budget is spent.
        ConfigurationError: A budget does not know what was spent.
    """
    blocks = _active.get()
    if own is None and not blocks:
        return _NO_CHARGE
    active = tuple(block.budget for block in blocks if block.is_open)
    return _Counted(_with_parents(active if own is None else (own, *active)), request)


class Charge:
    """The charge of a call that no budget applies to. It counts nothing."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def may_be_billed(self, so_far: ReplyAccumulator | None = None) -> None:
        """The response has begun.

        Args:
            so_far: What the reply of a stream is accumulated in.
        """

    def completed(self, reply: Reply | ReplyAccumulator) -> None:
        """The whole reply was received."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None: ...


_NO_CHARGE = Charge()


class _Counted(Charge):
    """Counts one call for each of these budgets."""

    __slots__ = ("_budgets", "_is_billed", "_is_complete", "_received", "_request")

    def __init__(self, budgets: tuple[Budget, ...], request: ChatRequest) -> None:
        self._request = request
        self._budgets: tuple[Budget, ...] = ()
        self._received: Reply | ReplyAccumulator | None = None
        self._is_billed = False
        self._is_complete = False
        self._reserve(budgets)

    def may_be_billed(self, so_far: ReplyAccumulator | None = None) -> None:
        self._is_billed = True
        self._received = so_far

    def completed(self, reply: Reply | ReplyAccumulator) -> None:
        self._is_complete = True
        self._received = reply

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if self._budgets:
            self._end(error)

    def __del__(self) -> None:
        # An async stream that was abandoned when its event loop ended is never closed.
        if getattr(self, "_budgets", ()):  # not set if Ctrl-C came in the constructor
            self._end(None)

    def _reserve(self, budgets: tuple[Budget, ...]) -> None:
        with _lock:
            for budget in budgets:
                budget.ledger.check()
            self._budgets = budgets
            for budget in budgets:
                budget.ledger.in_progress += 1

    def _end(self, error: BaseException | None) -> None:
        """Reports the end of the call, without a lock: the garbage collector may be the caller."""
        received = self._received
        usage = _usage_in(error) or (None if received is None else received.usage)
        model = _counted_model(self._request, received)
        ended = _Ended(model, usage, self._is_billed, self._is_complete)
        budgets, self._budgets = self._budgets, ()  # so late, because Ctrl-C may come before
        for budget in budgets:
            budget.ledger.ended.append(ended)


class _Block:
    """A `with` block of a budget. Other contexts that inherited it see when it is left."""

    __slots__ = ("budget", "is_open")

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.is_open = True


_active: ContextVar[tuple[_Block, ...]] = ContextVar("sunra_budgets", default=())
"""The `with` blocks around the current call."""

_lock = threading.RLock()
"""One for all budgets, because a call checks and reserves several in one step.

Reentrant, because a signal handler may read a budget.
"""


def _start_afresh_in_child() -> None:
    """Another thread may have held the lock when the process was forked."""
    global _lock  # noqa: PLW0603 - replaced as a whole, once per fork
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_afresh_in_child)


def _with_parents(budgets: tuple[Budget, ...]) -> tuple[Budget, ...]:
    """The budgets and their parents, each once."""
    found: dict[Budget, None] = {}
    for budget in budgets:
        one: Budget | None = budget
        while one is not None:
            found[one] = None
            one = one.ledger.parent
    return tuple(found)


def _counted_model(request: ChatRequest, received: Reply | ReplyAccumulator | None) -> str:
    """The model that a call counts under: the one that its price belongs to."""
    body = request.extra_body
    if body.get("models") and received is not None and received.model:
        return received.model
    model = body.get("model")
    return model if isinstance(model, str) else request.model


def _usage_in(error: BaseException | None) -> Usage | None:
    """The usage in an error, which has a completion that is not usable."""
    if not isinstance(error, SunraError):
        return None
    if isinstance(error.partial, Reply):
        return error.partial.usage
    return parse_usage(error.details.get("usage")) if isinstance(error.details, dict) else None


def _exceeded(
    unit: str, spent: float, limit: float, spent_text: str, limit_text: str
) -> BudgetExceeded:
    return BudgetExceeded(
        f"The budget of {limit_text} is spent: {spent_text}. Raise its limit "
        f"(`budget.{unit} = …`), or use another Budget.",
        spent=spent,
        limit=limit,
        unit=unit,
    )


def _check_amount(name: str, value: object, kinds: tuple[type, ...] = (int, float)) -> None:
    is_number = isinstance(value, kinds) and not isinstance(value, bool)
    if not is_number or not 0 <= value < math.inf:  # type: ignore[operator]  # it is one
        rule = f"{'a number' if float in kinds else 'an integer'} of at least 0"
        raise InvalidParameter(
            f"`{name}` must be {rule}, got {value!r}.", parameter=name, value=value, rule=rule
        )


def _checked_prices(prices: Any) -> dict[str, Price]:
    if isinstance(prices, Mapping) and all(isinstance(one, Price) for one in prices.values()):
        return dict(prices)
    raise InvalidParameter(
        "`prices` must be a dict of a Price by model: "
        '`{"openai/gpt-4o": Price(input=2.5, output=10)}`.',
        parameter="prices",
        value=prices,
        rule="a dict of a Price by model",
    )


def check_budget(given: Any, name: str = "budget") -> Budget | None:
    """The given budget.

    Raises:
        InvalidParameter: It is neither a `Budget` nor None.
    """
    if given is None or isinstance(given, Budget):
        return given
    raise InvalidParameter(
        f"`{name}` must be a Budget, such as Budget(usd=5), got {type(given).__name__}.",
        parameter=name,
        rule="a Budget",
    )
