"""Probes models at once, so many requests at a time; what fails for one ends no other."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sunra_integrations import errors
from sunra_integrations.cli.probe.asking import Asker, Spending
from sunra_integrations.cli.probe.features import Feature, Verdict
from sunra_integrations.transport import AsyncSunraClient, Settings

_REFUSALS = (errors.BadRequest, errors.NotFound, errors.PermissionDenied, errors.Refused)
_SAYS_NOTHING_OF_OTHERS = (errors.BadRequest, errors.UnreadableResponse)


@dataclass(frozen=True)
class Findings:
    """What was found out about one model.

    Args:
        model: The model.
        verdicts: By feature.
        error: Why nothing could be found out; None where something was.
    """

    model: str
    verdicts: Mapping[str, Verdict]
    error: errors.SunraError | None = None


async def probe_all(
    settings: Settings,
    models: Sequence[str],
    features: Sequence[Feature],
    *,
    at_once: int,
    spending: Spending,
) -> list[Findings]:
    """The findings about each model.

    Args:
        settings: How the gateway is reached.
        models: The models.
        features: What to ask about; `answer` goes first where it is among them.
        at_once: How many requests may be under way.
        spending: What was spent is added to it.
    """
    client = AsyncSunraClient(settings)
    turnstile = asyncio.Semaphore(at_once)
    askers = [Asker(client, model, turnstile, spending) for model in models]
    return list(await asyncio.gather(*(_probe_model(asker, features) for asker in askers)))


async def _probe_model(asker: Asker, features: Sequence[Feature]) -> Findings:
    verdicts: dict[str, Verdict] = {}
    rest = list(features)
    if rest[0].name == "answer":
        try:
            verdicts["answer"] = await rest.pop(0).probe(asker)
        except _SAYS_NOTHING_OF_OTHERS as error:
            verdicts["answer"] = verdict_of(error)
        except errors.SunraError as error:
            return Findings(asker.model, {}, error)
    found = await asyncio.gather(*(_probe(asker, feature) for feature in rest))
    names = [feature.name for feature in rest]
    return Findings(asker.model, verdicts | dict(zip(names, found, strict=True)))


async def _probe(asker: Asker, feature: Feature) -> Verdict:
    try:
        return await feature.probe(asker)
    except errors.SunraError as error:
        return verdict_of(error)


def verdict_of(error: errors.SunraError) -> Verdict:
    """What an error says of the feature that was asked for.

    Only a refusal says that it is not there; a broken connection or a busy server says nothing.
    """
    return Verdict("refused" if isinstance(error, _REFUSALS) else "unknown", error.message)
