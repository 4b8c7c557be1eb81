"""Pairs of requests of which one must never be served the other's answer, made up by the thousand.

It knows requests and what people write in them, and nothing of the rules under test: it imports no
more than the values of a request. Each pair differs in one dimension only. Half of the pairs have
equal texts, so that the exact layer is tried; the others are two wordings of one question, so that
the near one is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from router.types import (
    Attribution,
    CacheControl,
    ChatRequest,
    Message,
    Part,
    Reasoning,
    ResponseFormat,
    Role,
    Sampling,
    Share,
    Tool,
    ToolCall,
    Wishes,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A request that was answered, and those that come next.

    Attributes:
        stored: its answer is kept if the rules let it.
        asked: each of them makes a pair with it.
        twin: differs harmlessly from ``stored``: that it is served proves that there is something
            to serve. None where nothing may be kept at all.
        model: made the stored answer.
        output_tokens: length of the stored answer, None: unknown.
        share: the namespace's policy.
    """

    stored: ChatRequest
    asked: tuple[ChatRequest, ...]
    twin: ChatRequest | None
    model: str = "small"
    output_tokens: int | None = 100
    share: Share = Share.NAMESPACE


Maker = Callable[[Random], Case]
Change = Callable[[Random, ChatRequest], ChatRequest]

# ------------------------------------------------------------------------------------ plain texts

_ASKS = (
    ("How do I {}?", "How can I {}?"),
    ("What is a good way to {}?", "What would be a good way to {}?"),
    ("Explain how to {}", "Please explain how to {}"),
    ("Can you tell me how to {}?", "Could you tell me how to {}?"),
    ("I want to know how to {}", "I would like to know how to {}"),
)
_ACTS = (
    "bake {} bread", "sharpen a {} knife", "paint a {} fence", "fold a {} letter", "grow {} roses",
    "clean a {} window", "repair a {} zip", "write a {} poem", "train a {} horse", "tie a {} knot",
    "sew a {} shirt", "draw a {} tree", "tune a {} guitar", "plant a {} hedge", "brew {} tea",
    "sort a {} array", "parse a {} file", "render a {} page", "cache a {} query",
)  # fmt: skip
_KINDS = (
    "simple", "wooden", "rustic", "narrow", "round", "heavy", "plain", "curly", "dusty", "modern",
    "rough", "striped", "woolen", "garden", "kitchen", "country", "village", "summer", "winter",
)  # fmt: skip
_WORDS = (
    "amber basket candle donkey engine fiddle garden hammer island jacket kettle ladder marble"
    " needle orchard pepper quarry ribbon saddle timber umbrella velvet willow zipper bottle copper"
).split()


def _question(rng: Random) -> tuple[str, str]:
    """Return one question in two wordings that ask for the same answer."""
    what = rng.choice(_ACTS).format(rng.choice(_KINDS))
    one, other = rng.choice(_ASKS)
    return one.format(what), other.format(what)


def _words(rng: Random, n: int) -> str:
    return " ".join(rng.choice(_WORDS) for _ in range(n))


def _two(rng: Random) -> tuple[str, str]:
    """Return two different strings of words."""
    one = _words(rng, rng.randint(1, 5))
    return one, f"{one} {rng.choice(_WORDS)}" if rng.random() < 0.5 else _words(rng, 6)


def _user(text: str, **fields: Any) -> Message:
    return Message(role=Role.USER, parts=(Part(text=text),), **fields)


def _said(role: Role, text: str) -> Message:
    return Message(role=role, parts=(Part(text=text),))


def _chat(rng: Random, *messages: Message, **fields: Any) -> ChatRequest:
    """Return a request in a namespace of its own, by an anonymous user unless told otherwise."""
    return ChatRequest(
        namespace=f"tenant-{rng.getrandbits(48):x}", caller="local", messages=messages, **fields
    )


def _dressed(rng: Random, text: str) -> ChatRequest:
    """Return a request with what real ones carry: a system prompt, turns, tools, settings."""
    messages: list[Message] = []
    if rng.random() < 0.5:
        messages.append(_said(Role.SYSTEM, f"Be a {_words(rng, 4)}."))
    for _ in range(rng.choice((0, 0, 0, 1, 2))):
        messages += [_user(_question(rng)[0]), _said(Role.ASSISTANT, _words(rng, 8))]
    messages.append(_user(text))
    tools = (_tool(rng),) if rng.random() < 0.2 else ()
    sampling = Sampling(
        temperature=rng.choice((None, None, 0.0, 0.7)), max_tokens=rng.choice((None, 400, 4_000))
    )
    return _chat(rng, *messages, tools=tools, sampling=sampling)


def _tool(rng: Random) -> Tool:
    schema = {"type": "object", "properties": {rng.choice(_WORDS): {"type": "string"}}}
    return Tool(
        name=rng.choice(_WORDS), description=_words(rng, 4), parameters_json=json.dumps(schema)
    )


def _reworded(request: ChatRequest, text: str) -> ChatRequest:
    *before, last = request.messages
    parts = list(last.parts)
    at = next(n for n, part in enumerate(parts) if part.is_own_text)
    parts[at] = replace(parts[at], text=text)
    return replace(request, messages=(*before, replace(last, parts=tuple(parts))))


def _case(rng: Random, base: Change, change: Change, **fields: Any) -> Case:
    """Return pairs that differ in what ``change`` does to what ``base`` made."""
    text, other_wording = _question(rng)
    stored = base(rng, _dressed(rng, text))
    asked: list[ChatRequest] = []
    for _ in range(2):
        changed = change(rng, stored)
        for one in (changed, _reworded(changed, other_wording)):
            if one not in asked:
                asked.append(one)
    twin = _reworded(stored, other_wording)
    return Case(stored=stored, asked=tuple(asked), twin=twin, **fields)


def _as_it_is(rng: Random, request: ChatRequest) -> ChatRequest:
    return request


def _differing(change: Change, base: Change = _as_it_is, **fields: Any) -> Maker:
    return lambda rng: _case(rng, base, change, **fields)


# ------------------------------------------------------------------------- what reaches a provider


def _namespace(rng: Random, request: ChatRequest) -> ChatRequest:
    other = f"{request.namespace}{rng.choice(('-', '/', ' ', '0', 'a'))}"
    return replace(request, namespace=rng.choice((other, request.namespace[:-1], "tenant")))


def _before(role: Role) -> Change:
    """Put a message of a role before all others."""

    def change(rng: Random, request: ChatRequest) -> ChatRequest:
        first = _said(role, _words(rng, 5))
        return replace(request, messages=(first, *request.messages))

    return change


def _system_changed(rng: Random, request: ChatRequest) -> ChatRequest:
    first, *rest = request.messages
    text = first.parts[0].text
    return replace(
        request,
        messages=(
            _said(
                first.role, rng.choice((f"{text} ", text.upper(), text[1:], f"{text} Be brief."))
            ),
            *rest,
        ),
    )


def _system_as_developer(rng: Random, request: ChatRequest) -> ChatRequest:
    first, *rest = request.messages
    return replace(request, messages=(replace(first, role=Role.DEVELOPER), *rest))


def _with_turns(rng: Random, request: ChatRequest) -> ChatRequest:
    turns = (_user(_question(rng)[0]), _said(Role.ASSISTANT, _words(rng, 6)))
    return replace(request, messages=(*request.messages[:-1], *turns, request.messages[-1]))


def _turn_changed(back: int) -> Change:
    """Change the text of an earlier turn; 2: the last answer, 3: the question before it."""

    def change(rng: Random, request: ChatRequest) -> ChatRequest:
        messages = list(request.messages)
        messages[-back] = _said(messages[-back].role, _words(rng, 7))
        return replace(request, messages=tuple(messages))

    return change


def _turns_swapped(rng: Random, request: ChatRequest) -> ChatRequest:
    *before, question, answer, last = request.messages
    swapped = replace(question, role=Role.ASSISTANT), replace(answer, role=Role.USER)
    return replace(request, messages=(*before, *swapped, last))


def _turns_dropped(rng: Random, request: ChatRequest) -> ChatRequest:
    return replace(request, messages=(*request.messages[:-3], request.messages[-1]))


def _speaker(rng: Random, request: ChatRequest) -> ChatRequest:
    *before, last = request.messages
    return replace(request, messages=(*before, replace(last, name=rng.choice(_WORDS))))


def _with_tool_turn(result: str) -> Change:
    """Put a tool's call and its result before the last message."""

    def change(rng: Random, request: ChatRequest) -> ChatRequest:
        call = ToolCall(id="call_1", name="look_up", arguments_json='{"q": 1}')
        turns = (
            Message(role=Role.ASSISTANT, tool_calls=(call,)),
            Message(role=Role.TOOL, tool_call_id="call_1", parts=(Part(text=result),)),
        )
        return replace(request, messages=(*request.messages[:-1], *turns, request.messages[-1]))

    return change


def _tool_turn_changed(rng: Random, request: ChatRequest) -> ChatRequest:
    *before, asking, told, last = request.messages
    if rng.random() < 0.5:
        call = replace(asking.tool_calls[0], arguments_json='{"q": 2}')
        asking = replace(asking, tool_calls=(call,))
    else:
        told = replace(told, parts=(Part(text="two"),))
    return replace(request, messages=(*before, asking, told, last))


def _with_part(make: Callable[[Random], Part]) -> Change:
    """Add a part to the last message, before or behind its text."""

    def change(rng: Random, request: ChatRequest) -> ChatRequest:
        *before, last = request.messages
        parts = (make(rng), *last.parts) if rng.random() < 0.5 else (*last.parts, make(rng))
        return replace(request, messages=(*before, replace(last, parts=parts)))

    return change


def _context(rng: Random) -> Part:
    return Part(text=_words(rng, 12), is_context=True)


def _image(rng: Random) -> Part:
    if rng.random() < 0.5:
        return Part(media_type="image/png", data=rng.randbytes(16))
    return Part(media_type="image/png", uri=f"https://img.example/{rng.getrandbits(32):x}")


def _extra_part_changed(rng: Random, request: ChatRequest) -> ChatRequest:
    """Change one field of the part that is no text of the user's own."""
    *before, last = request.messages
    parts = list(last.parts)
    at = next(n for n, part in enumerate(parts) if not part.is_own_text)
    part = parts[at]
    if part.is_context:
        parts[at] = replace(part, text=f"{part.text} {rng.choice(_WORDS)}")
    else:
        other: dict[str, Any] = rng.choice(
            (
                {"media_type": "image/jpeg"},
                {"detail": "high"},
                {"data": rng.randbytes(17), "uri": ""},
                {"uri": "https://img.example/other", "data": b""},
            )
        )
        parts[at] = replace(part, **other)
    return replace(request, messages=(*before, replace(last, parts=tuple(parts))))


def _context_as_text(rng: Random, request: ChatRequest) -> ChatRequest:
    """Say as the user what came as context, before the same words."""
    *before, last = request.messages
    parts = tuple(replace(part, is_context=False) for part in last.parts)
    return replace(request, messages=(*before, replace(last, parts=parts)))


def _with_tools(rng: Random, request: ChatRequest) -> ChatRequest:
    return replace(request, tools=(_tool(rng), replace(_tool(rng), name="second")))


def _tools_changed(rng: Random, request: ChatRequest) -> ChatRequest:
    first, second = request.tools
    return replace(
        request,
        tools=rng.choice(
            (
                (first,),
                (second, first),
                (replace(first, name=f"{first.name}_"), second),
                (first, replace(second, description=f"{second.description}.")),
                (first, replace(second, parameters_json='{"type": "object"}')),
                (first, replace(second, is_strict=True)),
            )
        ),
    )


def _tool_choice(rng: Random, request: ChatRequest) -> ChatRequest:
    return replace(request, tool_choice_json=rng.choice(('"none"', '"required"')))


def _format(rng: Random, request: ChatRequest) -> ChatRequest:
    schema = json.dumps({"type": "object", "title": rng.choice(_WORDS)})
    return replace(
        request,
        response_format=rng.choice(
            (
                ResponseFormat(kind="json_object"),
                ResponseFormat(kind="json_schema", schema_json=schema),
            )
        ),
    )


def _schema(title: str) -> Change:
    form = ResponseFormat(kind="json_schema", schema_json=json.dumps({"title": title}))
    return lambda rng, request: replace(request, response_format=form)


def _sampling(**fields: Any) -> Change:
    return lambda rng, request: replace(request, sampling=replace(request.sampling, **fields))


def _reasoning(**fields: Any) -> Change:
    return lambda rng, request: replace(request, reasoning=Reasoning(**fields))


def _extra(**fields: str) -> Change:
    return lambda rng, request: replace(request, extra={**request.extra, **fields})


def _wishes(**fields: Any) -> Change:
    return lambda rng, request: replace(request, wishes=Wishes(**fields))


# --------------------------------------------------------------------------------- what texts say

_MINE = (
    "Where is my order?", "Cancel my subscription please", "What is the balance of my account?",
    "Why was my card declined?", "When does my parcel arrive?", "Show me my invoices",
    "What did my doctor prescribe?", "Which appointments are in my calendar?", "Change my password",
    "How many vacation days do I have left?", "I was charged twice", "When will I get my refund?",
    "What is my address?", "Update my phone number", "What did I tell you earlier?",
)  # fmt: skip


def _personal_text(rng: Random) -> str:
    kind = rng.randrange(6)
    name, number = rng.choice(_WORDS), rng.randrange(10**5, 10**6)
    if kind == 0:
        return rng.choice(_MINE)
    if kind == 1:
        what = rng.choice(("Write to", "What did I get from", "Delete everything on"))
        return f"{what} {name}.{rng.choice(_WORDS)}@example.{rng.choice(('org', 'com', 'co.uk'))}"
    if kind == 2:
        return f"Where is {rng.choice(('order', 'ticket', 'invoice', 'booking'))} number {number}?"
    if kind == 3:
        return f"What happened to {rng.choice(('INC', 'ORD', 'RMA'))}-{number}?"
    if kind == 4:
        return f"Call +44 20 7946 {rng.randrange(1000, 10_000)} for the {name}"
    digits = f"{number}{number}"
    return f"Is card 4111 {digits[:4]} {digits[4:8]} {digits[8:]}11 blocked?"


def _by(request: ChatRequest, user: str) -> ChatRequest:
    return replace(request, attribution=replace(request.attribution, user=user))


def _another_user(rng: Random) -> Case:
    """A personal text, word by word the same, of somebody else; or of nobody known."""
    stored = _by(_chat(rng, _user(_personal_text(rng))), "ann")
    others = tuple(_by(stored, user) for user in ("bob", "Ann", "ann ", "anna", ""))
    return Case(stored=stored, asked=others, twin=replace(stored, tags=("other",)))


def _after_a_personal_turn(rng: Random) -> Case:
    """The text is anybody's, and an earlier turn of the user is not."""
    text, other_wording = _question(rng)
    turns = (_user(_personal_text(rng)), _said(Role.ASSISTANT, "Done."))
    stored = _by(_chat(rng, *turns, _user(text)), "ann")
    asked = _by(stored, "bob"), _by(_reworded(stored, other_wording), "bob")
    return Case(stored=stored, asked=asked, twin=replace(stored, tags=("other",)))


def _nobodys(rng: Random) -> Case:
    """A personal text without a user, twice."""
    stored = _chat(rng, _user(_personal_text(rng)))
    return Case(stored=stored, asked=(stored,), twin=None)


def _shared_with_no_one(rng: Random) -> Case:
    """An ordinary text of another user, where the policy shares within a user only."""
    case = _case(rng, lambda _, request: _by(request, "ann"), lambda _, r: _by(r, "bob"))
    return replace(case, share=Share.USER)


_BOUND = (
    "What is the weather in {} today?", "Latest news on {}", "What is the price of {}?",
    "Who won the {} match last night?", "Is the {} open right now?", "How much is a {}?",
    "What is the current version of {}?", "Which {} films are playing near me?",
    "When is the next {} festival?", "What is trending in {} this week?",
)  # fmt: skip


def _time_bound(rng: Random) -> Case:
    """What was right yesterday, where the policy names no freshness."""
    text = rng.choice(_BOUND).format(rng.choice(_WORDS))
    stored = _by(_chat(rng, _user(text)), rng.choice(("", "ann")))
    return Case(stored=stored, asked=(stored,), twin=None)


def _after_a_time_bound_turn(rng: Random) -> Case:
    """The text is anybody's, and an earlier turn asked for what changes with time."""
    turn = _user(rng.choice(_BOUND).format(rng.choice(_WORDS)))
    stored = _chat(rng, turn, _said(Role.ASSISTANT, _words(rng, 5)), _user(_question(rng)[0]))
    return Case(stored=stored, asked=(stored,), twin=None)


_EMPTY = (
    ("yes", "yes please"), ("go on", "please go on"), ("no", "no thanks"), ("ok", "okay"),
    ("continue", "please continue"), ("thanks", "thank you"), ("why?", "why not?"),
    ("the first one", "the second one"), ("1", "2"), ("more", "more please"), ("👍", "👎"),
)  # fmt: skip


def _content_free(rng: Random) -> Case:
    """Two replies that mean nothing by themselves, after the same turns."""
    one, other = rng.sample(rng.choice(_EMPTY), 2)
    turns = (_user(_question(rng)[0]), _said(Role.ASSISTANT, _words(rng, 5)))
    stored = _chat(rng, *turns, _user(one))
    return Case(stored=stored, asked=(_reworded(stored, other),), twin=replace(stored, tags=("t",)))


_FOREIGN = (
    ("Wie backe ich ein gutes Brot mit {}?", "Wie backt man ein gutes Brot mit {}?"),
    ("¿Cómo puedo preparar una sopa con {}?", "¿Cómo se prepara una sopa con {}?"),
    ("Comment faire une bonne soupe avec {} ?", "Comment préparer une bonne soupe avec {} ?"),
    ("Как приготовить суп с {}?", "Как сварить суп с {}?"),
    ("如何用{}做汤?", "怎样用{}做汤?"),
)


def _not_english(rng: Random) -> Case:
    """Two wordings in a language that no rule can read; the baseline answers what is not scored."""
    one, other = rng.choice(_FOREIGN)
    what = rng.choice(("Kürbis", "tomate", "oignon", "лук", "南瓜"))
    stored = _by(_chat(rng, _user(one.format(what))), "ann")
    asked = _reworded(stored, other.format(what))
    twin = replace(stored, tags=("t",))
    return Case(stored=stored, asked=(asked,), twin=twin, model="large")


def _unseen_middle(rng: Random) -> Case:
    """Texts longer than the encoder's window: head and tail alike, the middle not."""
    head, tail = _words(rng, 130), _words(rng, 45)
    middle = _words(rng, rng.randint(1, 60)).split()
    other = list(middle)
    if rng.random() < 0.5:
        other.insert(rng.randrange(len(other) + 1), "another")
    else:
        other[rng.randrange(len(other))] = "another"
    ask = "Please read this note about the farm and tell me what it says of the "
    one, two = (f"{ask}{head} {' '.join(words)} {tail}" for words in (middle, other))
    stored = _chat(rng, _user(one))
    twin = replace(stored, tags=("t",))
    return Case(stored=stored, asked=(_reworded(stored, two),), twin=twin)


def _another_number(rng: Random) -> Case:
    """The same words about another amount."""
    one, two = rng.sample(range(2, 500), 2)
    unit = rng.choice(("grams", "pages", "meters", "minutes", "people", "apples", "percent"))
    ask, other_ask = rng.choice(_ASKS)
    what = rng.choice(_ACTS).format(rng.choice(_KINDS))
    stored = _chat(rng, _user(ask.format(f"{what} with {one} {unit}")))
    asked = tuple(
        _reworded(stored, words.format(f"{what} with {two} {unit}")) for words in (ask, other_ask)
    )
    twin = _reworded(stored, other_ask.format(f"{what} with {one} {unit}"))
    return Case(stored=stored, asked=asked, twin=twin)


def _last_is_no_users(rng: Random) -> Case:
    """The last message is a tool's: there is no text to be near to."""
    call = ToolCall(id="call_1", name="look_up", arguments_json="{}")
    one, other = _two(rng)
    turns = (_user(_question(rng)[0]), Message(role=Role.ASSISTANT, tool_calls=(call,)))
    stored, asked = (
        _chat(rng, *turns, Message(role=Role.TOOL, tool_call_id="call_1", parts=(Part(text=text),)))
        for text in (one, other)
    )
    asked = replace(asked, namespace=stored.namespace)
    return Case(stored=stored, asked=(asked,), twin=replace(stored, tags=("t",)))


# ------------------------------------------------------------------------------------ what is told

WITH_SYSTEM, WITH_TURNS = _before(Role.SYSTEM), _with_turns
APART: Mapping[str, Maker] = {
    "namespace": _differing(_namespace),
    "another user's personal text": _another_user,
    "a personal turn before": _after_a_personal_turn,
    "personal text of nobody": _nobodys,
    "share = user": _shared_with_no_one,
    "a system prompt more": _differing(_before(Role.SYSTEM)),
    "another system prompt": _differing(_system_changed, WITH_SYSTEM),
    "a developer prompt more": _differing(_before(Role.DEVELOPER)),
    "system against developer": _differing(_system_as_developer, WITH_SYSTEM),
    "turns more": _differing(_with_turns),
    "turns fewer": _differing(_turns_dropped, WITH_TURNS),
    "another answer before": _differing(_turn_changed(2), WITH_TURNS),
    "another question before": _differing(_turn_changed(3), WITH_TURNS),
    "turns of other roles": _differing(_turns_swapped, WITH_TURNS),
    "another tool call or result before": _differing(_tool_turn_changed, _with_tool_turn("one")),
    "the speaker's name": _differing(_speaker),
    "a context part more": _differing(_with_part(_context)),
    "another context part": _differing(_extra_part_changed, _with_part(_context)),
    "context against own words": _differing(_context_as_text, _with_part(_context)),
    "an image more": _differing(_with_part(_image)),
    "another image": _differing(_extra_part_changed, _with_part(_image)),
    "tools more": _differing(_with_tools),
    "other tools": _differing(_tools_changed, _with_tools),
    "tool choice": _differing(_tool_choice, _with_tools),
    "response format": _differing(_format),
    "response schema": _differing(_schema("two"), _schema("one")),
    "temperature 0 against above": _differing(
        _sampling(temperature=0.0), _sampling(temperature=0.4)
    ),
    "temperature 0 against default": _differing(
        _sampling(temperature=None), _sampling(temperature=0.0)
    ),
    "top_p": _differing(_sampling(top_p=0.5)),
    "stop": _differing(_sampling(stop=("\n",))),
    "other stops": _differing(_sampling(stop=("b", "a")), _sampling(stop=("a", "b"))),
    "seed": _differing(_sampling(seed=7), _sampling(seed=8)),
    "n": _differing(_sampling(n=3)),
    "presence penalty": _differing(_sampling(presence_penalty=0.5)),
    "frequency penalty": _differing(
        _sampling(frequency_penalty=0.5), _sampling(presence_penalty=0.5)
    ),
    "logprobs": _differing(_sampling(logprobs=True)),
    "top_logprobs": _differing(_sampling(top_logprobs=3), _sampling(logprobs=True)),
    "logit bias": _differing(
        _sampling(logit_bias=(("42", -1.0),)), _sampling(logit_bias=(("42", 1.0),))
    ),
    "reasoning effort": _differing(_reasoning(effort="high"), _reasoning(effort="low")),
    "reasoning budget": _differing(_reasoning(budget_tokens=512)),
    "an unknown field more": _differing(_extra(verbosity='"low"')),
    "another value of an unknown field": _differing(_extra(top_k="5"), _extra(top_k="50")),
    "max_tokens below the answer": _differing(_sampling(max_tokens=99)),
    "max_tokens against an unknown length": _differing(
        _sampling(max_tokens=4_000), _sampling(max_tokens=None), output_tokens=None
    ),
    "another model pinned": _differing(_wishes(pinned_model="large")),
    "a model that is not allowed": _differing(_wishes(allowed_models=("large", "weak"))),
    "a model that is not adequate": _differing(
        _wishes(quality_target=1.0), _wishes(quality_target=0.01), model="weak"
    ),
    "time-bound text": _time_bound,
    "a time-bound turn before": _after_a_time_bound_turn,
    "too old for the request": _differing(
        lambda _, request: replace(request, cache_control=CacheControl(max_age_s=0.0))
    ),
    "content-free replies": _content_free,
    "not English": _not_english,
    "a tool's words last": _last_is_no_users,
    "the unseen middle of a long text": _unseen_middle,
    "another number": _another_number,
}
"""What keeps two requests apart, with pairs that differ in nothing else."""


def _attributed(rng: Random, request: ChatRequest) -> ChatRequest:
    who = Attribution(
        user=rng.choice(_WORDS),
        feature=rng.choice(_WORDS),
        task="t",
        conversation=f"{rng.getrandbits(32):x}",  # a repeat within one would ask for another answer
    )
    return replace(request, attribution=who)


def _spaced(rng: Random, request: ChatRequest) -> ChatRequest:
    text = request.messages[-1].own_text
    return _reworded(request, f" {text.replace(' ', rng.choice(('  ', chr(10), chr(160))))}\n")


def _same_schema(rng: Random, request: ChatRequest) -> ChatRequest:
    tools = (
        replace(tool, parameters_json=json.dumps(json.loads(tool.parameters_json), indent=2))
        for tool in request.tools
    )
    return replace(request, tools=tuple(tools))


def _own_text_again(rng: Random) -> Case:
    stored = _by(_chat(rng, _user(_personal_text(rng))), "ann")
    return Case(stored=stored, asked=(replace(stored, tags=("other",)),), twin=None)


TOGETHER: Mapping[str, Maker] = {
    "attribution": _differing(_attributed),
    "caller": _differing(lambda _, request: replace(request, caller="another")),
    "tags": _differing(lambda _, request: replace(request, tags=("other",))),
    "request id": _differing(lambda rng, r: replace(r, request_id=f"{rng.getrandbits(32):x}")),
    "enough max_tokens": _differing(_sampling(max_tokens=100)),
    "temperatures above 0": _differing(_sampling(temperature=0.9), _sampling(temperature=0.3)),
    "fields that change no answer": _differing(
        _extra(user='"bob"', metadata='{"a": 1}', stream_options="{}")
    ),
    "order of unknown fields": _differing(
        lambda _, r: replace(r, extra=dict(sorted(r.extra.items(), reverse=True))),
        _extra(a="1", b="2"),
    ),
    "space in a text": _differing(_spaced),
    "space in a schema": _differing(_same_schema, _with_tools),
    "the model that made it, pinned": _differing(_wishes(pinned_model="small")),
    "the model that made it, allowed": _differing(_wishes(allowed_models=("small",))),
    "young enough": _differing(
        lambda _, request: replace(request, cache_control=CacheControl(max_age_s=60.0))
    ),
    "one's own personal text": _own_text_again,
}
"""What keeps no two requests apart."""
