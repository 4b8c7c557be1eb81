"""Asks a configured model the project's own probe prompts and grades what it says."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from rich.console import Console
from rich.progress import Progress

from router.app import open_provider
from router.commands.labelled import Labelled, UnusableLabels
from router.commands.probe_prompts import ProbePrompt, probe_prompts
from router.errors import ProviderError
from router.ports import ModelCall, Provider
from router.settings import ModelSpec, Settings
from router.types import ChatRequest, Message, Part, Role, Sampling

_AT_ONCE = 4
_MOST_TOKENS = 1024


def ask_all(settings: Settings, model: ModelSpec, seed: int) -> list[Labelled]:
    """Return the probe prompts with what the model's answers were worth: 0 or 1 each.

    Raises:
        UnusableLabels: the provider failed; the message says with what.
    """
    return asyncio.run(_ask_all(settings, model, seed))


async def _ask_all(settings: Settings, model: ModelSpec, seed: int) -> list[Labelled]:
    key = settings.providers[model.provider].keys[0]
    provider = open_provider(settings, model.provider, key)
    try:
        return await graded(provider, settings, model, probe_prompts(seed))
    except ProviderError as error:
        raise UnusableLabels(f"{model.name} could not be asked: {error}") from error
    finally:
        await provider.close()


async def graded(
    provider: Provider, settings: Settings, model: ModelSpec, prompts: Sequence[ProbePrompt]
) -> list[Labelled]:
    """Ask some at once, in order; the first failure ends it.

    Raises:
        ProviderError: a call failed.
    """
    gate = asyncio.Semaphore(_AT_ONCE)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(f"asking {model.name}", total=len(prompts))

        async def one(prompt: ProbePrompt) -> Labelled:
            async with gate:
                completion = await provider.complete(_call(settings, model, prompt.text))
            progress.advance(task)
            score = float(prompt.is_right(completion.answer.text))
            return Labelled(prompt=prompt.text, n_tools=0, scores={model.name: score})

        return list(await asyncio.gather(*map(one, prompts)))


def _call(settings: Settings, model: ModelSpec, text: str) -> ModelCall:
    routing = settings.routing
    return ModelCall(
        model=model.provider_model,
        request=ChatRequest(
            namespace="probe",
            caller="probe",
            messages=(Message(role=Role.USER, parts=(Part(text=text),)),),
            sampling=Sampling(temperature=0.0, max_tokens=_MOST_TOKENS),
        ),
        connect_s=routing.connect_s,
        first_token_s=routing.first_token_s,
        total_s=routing.total_s,
    )
