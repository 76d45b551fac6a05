"""Which pool a call goes to. Pure: pools are made and the clock is read by what is handed in.

A connection pool of httpx looks at all of its connections for each request, so many small pools
are many times cheaper than a large one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Generic, TypeVar

Carrier = TypeVar("Carrier")


class Pool(Generic[Carrier]):
    """One small pool, and the calls it is carrying: at first, the one it was made for.

    Args:
        places: Calls that it carries at once.
        holder: Stands for the call.
    """

    carrier: Carrier
    __slots__ = ("carrier", "holders", "idle_since", "is_spoiled", "places")

    def __init__(self, places: float, holder: object) -> None:
        self.places: float = places
        self.holders: set[object] = {holder}
        self.idle_since: float = 0.0
        self.is_spoiled: bool = False

    @property
    def in_flight(self) -> int:
        """How many calls it is carrying."""
        return len(self.holders)


class Allocation(Generic[Carrier]):
    """Small pools, made as they are needed and forgotten when they are not.

    A call goes to the first pool that has a place. So calls one after another share a connection,
    and the pools that a crowd has left behind fall idle. Who holds a place is known, so that a call
    may give back its place twice, or without knowing whether it has one.

    Args:
        make: Makes the carrier of a pool with that many places (infinite: no limit).
        limit: Places of all pools together; None sets no limit.
        places_per_pool: Places of one.
        expiry: Seconds after which an idle pool is forgotten.
        clock: Gives seconds that only ever grow.
    """

    def __init__(
        self,
        make: Callable[[float], Carrier],
        *,
        limit: int | None,
        places_per_pool: float,
        expiry: float,
        clock: Callable[[], float],
    ) -> None:
        self._make = make
        self._limit = math.inf if limit is None else limit
        self._places_per_pool = places_per_pool
        self._expiry = expiry
        self._clock = clock
        self._last_taken = clock()
        self._next_look = self._last_taken + expiry
        self._spoiled: list[Carrier] = []
        self.pools: list[Pool[Carrier]] = []

    def take(self, holder: object) -> Pool[Carrier] | None:
        """A place in a pool; None when all that may be are taken."""
        self._last_taken = self._clock()
        for pool in self.pools:
            if len(pool.holders) < pool.places and not pool.is_spoiled:
                pool.holders.add(holder)
                return pool
        left = self._limit - sum(pool.places for pool in self.pools)
        if left <= 0:
            return None
        new: Pool[Carrier] = Pool(min(left, self._places_per_pool), holder)
        self.pools.append(new)  # before it is made, so that nothing meanwhile is given its places
        try:
            new.carrier = self._make(new.places)
        except BaseException:
            self.pools.remove(new)
            raise
        return new

    def held_by(self, holder: object) -> Pool[Carrier] | None:
        """The pool that a call has a place in, if any."""
        return next((pool for pool in self.pools if holder in pool.holders), None)

    def give_back(self, pool: Pool[Carrier], holder: object, *, spoiled: bool = False) -> None:
        """Frees the place; a second time changes nothing.

        Args:
            pool: Whose place it was.
            holder: The call that had it.
            spoiled: Whether the pool may no longer be sound. It takes no more calls, and is
                forgotten once those it carries have ended.
        """
        if holder not in pool.holders:
            return
        pool.is_spoiled = pool.is_spoiled or spoiled
        pool.idle_since = self._clock()
        if pool.is_spoiled and len(pool.holders) == 1:
            self.pools.remove(pool)
            if hasattr(pool, "carrier"):  # an interrupt may have come before it was made
                self._spoiled.append(pool.carrier)
        pool.holders.discard(holder)

    def forgotten(self) -> list[Carrier]:
        """The carriers of pools that are no longer kept, for closing: spoiled, or long unused."""
        spoiled, self._spoiled = self._spoiled, []
        now = self._clock()
        if now < self._next_look:
            return spoiled
        self._next_look = now + self._expiry
        # The first is kept: each call looks there, and it closes its old connections by itself.
        idle = [
            pool
            for pool in self.pools[1:]
            if not pool.holders and now - pool.idle_since >= self._expiry
        ]
        self.pools = [pool for pool in self.pools if pool not in idle]
        return spoiled + [pool.carrier for pool in idle]

    def is_idle(self) -> bool:
        """Whether no call has used any pool for as long as an idle one is kept."""
        unused = self._clock() - self._last_taken >= self._expiry
        return unused and not any(pool.holders for pool in self.pools)
