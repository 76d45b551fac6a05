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
    """One small pool, and how many calls it is carrying.

    Args:
        carrier: What sends through the pool.
        places: Calls that it carries at once.
    """

    __slots__ = ("carrier", "idle_since", "in_flight", "places")

    def __init__(self, carrier: Carrier, places: float) -> None:
        self.carrier = carrier
        self.places = places
        self.in_flight = 0
        self.idle_since = 0.0


class Allocation(Generic[Carrier]):
    """Small pools, made as they are needed and forgotten when they are not.

    A call goes to the first pool that has a place. So calls one after another share a connection,
    and the pools that a crowd has left behind fall idle.

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
        self._next_look = clock() + expiry
        self.pools: list[Pool[Carrier]] = []

    def take(self) -> Pool[Carrier] | None:
        """A place in a pool; None when all that may be are taken."""
        for pool in self.pools:
            if pool.in_flight < pool.places:
                pool.in_flight += 1
                return pool
        left = self._limit - sum(pool.places for pool in self.pools)
        if left <= 0:
            return None
        places = min(left, self._places_per_pool)
        pool = Pool(self._make(places), places)
        pool.in_flight = 1
        self.pools.append(pool)
        return pool

    def give_back(self, pool: Pool[Carrier]) -> None:
        """Frees the place."""
        pool.in_flight -= 1
        if not pool.in_flight:
            pool.idle_since = self._clock()

    def forget_idle(self) -> list[Carrier]:
        """The carriers of pools that nobody has used for long, no longer kept; for closing."""
        now = self._clock()
        if now < self._next_look:
            return []
        self._next_look = now + self._expiry
        # The first is kept: each call looks there, and it closes its old connections by itself.
        idle = [
            pool
            for pool in self.pools[1:]
            if not pool.in_flight and now - pool.idle_since >= self._expiry
        ]
        self.pools = [pool for pool in self.pools if pool not in idle]
        return [pool.carrier for pool in idle]
