"""Is a cheap answer good enough to serve? What can be told without judging its content. Pure.

Where a namespace asks for it (``escalate = true``), the answer of a model that is not the strongest
of its chain is looked at before it is served. One that is empty, cut short, declined, or not in the
form that was asked for is set aside, and a stronger model of the chain is called; both calls cost.
The idea of a cascade that accepts or defers is that of FrugalGPT (Chen et al., 2023); there a model
judges the answer, here only what is certain does.
"""

from __future__ import annotations

import json
from typing import Any, Final

from cache.admission import AdmissionRefusal, refusal_reason
from router.types import ChatRequest, Completion, ResponseFormat, Routing, Tool, ToolCall

_LACKS: Final = {
    AdmissionRefusal.EMPTY: "empty",
    AdmissionRefusal.TRUNCATED: "truncated",
    AdmissionRefusal.REFUSED: "a refusal",
}


def shortfall(request: ChatRequest, completion: Completion) -> str:
    """Return how an answer falls short for certain, in a word or two; empty where it does not.

    A text that ends at the caller's own ``max_tokens`` lacks nothing: the next model's would, too.
    """
    answer = completion.answer
    found = refusal_reason(answer.text, answer.finish_reason, bool(answer.tool_calls))
    if found is AdmissionRefusal.TRUNCATED and _is_at_callers_limit(request, completion):
        return ""
    if answer.refusal:
        return _LACKS[AdmissionRefusal.REFUSED]
    if found in _LACKS:
        return _LACKS[found]
    if answer.tool_calls:
        tools = {tool.name: tool for tool in request.tools}
        return next(filter(None, (_call_lacks(call, tools) for call in answer.tool_calls)), "")
    return _form_lacks(answer.text, request.response_format)


def stronger(routing: Routing, model: str) -> tuple[str, ...]:
    """Return the models of a chain that are more probably adequate than this one, in its order."""
    p = {candidate.model: candidate.p_adequate for candidate in routing.candidates}
    return tuple(name for name in routing.chain if p.get(name, 0.0) > p.get(model, 0.0))


def _is_at_callers_limit(request: ChatRequest, completion: Completion) -> bool:
    most, usage = request.sampling.max_tokens, completion.usage
    return most is not None and (usage is None or usage.output_tokens >= most)


def _call_lacks(call: ToolCall, tools: dict[str, Tool]) -> str:
    """Say what is wrong with a call: an unknown name, no JSON object, something left out."""
    tool = tools.get(call.name)
    if tool is None:
        return (
            "a call of an unknown tool" if tools else ""
        )  # else the provider's own, which we do not know
    arguments = _read(call.arguments_json or "{}")
    if not isinstance(arguments, dict):
        return "a malformed tool call"
    return "" if _required(tool.parameters_json) <= arguments.keys() else "an incomplete tool call"


def _form_lacks(text: str, form: ResponseFormat) -> str:
    if form.kind == "text":
        return ""
    found = _read(text)
    if found is None or (form.kind == "json_object" and not isinstance(found, dict)):
        return "malformed JSON"
    if isinstance(found, dict) and not _required(form.schema_json) <= found.keys():
        return "incomplete JSON"
    return ""


def _required(schema_json: str) -> set[str]:
    """Return the names that a JSON schema (or what wraps one) wants at its top."""
    schema = _read(schema_json or "{}")
    if isinstance(schema, dict) and isinstance(schema.get("schema"), dict):
        schema = schema["schema"]
    names = schema.get("required", ()) if isinstance(schema, dict) else ()
    return {name for name in names if isinstance(name, str)} if isinstance(names, list) else set()


def _read(text: str) -> Any:  # noqa: ANN401  whatever JSON holds
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
