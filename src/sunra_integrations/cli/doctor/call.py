"""One tiny call, the proof of the whole."""

from __future__ import annotations

import time

from sunra_integrations import errors
from sunra_integrations.cli.advice import advice
from sunra_integrations.cli.answering import told
from sunra_integrations.cli.doctor.findings import Finding, fail, ok
from sunra_integrations.cli.printable import one_line
from sunra_integrations.protocol.request import ChatRequest
from sunra_integrations.transport import Settings, SunraClient

_QUESTION = "Answer with the one word: hello"
_LONGEST_SHOWN = 40


def call(settings: Settings, model: str) -> Finding:
    """Asks a model one small thing."""
    request = ChatRequest(model=model, messages=[{"role": "user", "content": _QUESTION}])
    begun = time.monotonic()
    try:
        reply = SunraClient(settings).create(request)
    except errors.SunraError as error:
        return fail("call", error.message, mend(error))
    took = f"{(time.monotonic() - begun) * 1000:.0f} ms"
    said = one_line(reply.text, _LONGEST_SHOWN)
    return ok("call", f"{model} answered in {took} with {said!r} ({told(reply.usage)})")


def mend(error: errors.SunraError) -> str:
    """What to do about a call that failed."""
    match error:
        case errors.AuthenticationFailed():
            return "Set SUNRA_KEY to a key from https://sunra.ai/dashboard/api-tokens."
        case errors.InsufficientCredit():
            return "Add credit to the Sunra account."
        case errors.ModelNotFound():
            return "Take a model's name from https://sunra.ai/models."
        case errors.ConnectionFailed():
            return "Mend what is found above first; if nothing is, try again."
        case _:
            return advice(error) or "Change what the message names."
