"""May an answer enter the cache? What is kept is replayed to others, so only whole answers may."""

from __future__ import annotations

import re
from enum import StrEnum


class AdmissionRefusal(StrEnum):
    """Why an answer is not kept."""

    TRUNCATED = "truncated"  # cut at a token limit
    TOOL_CALL = "tool_call"  # asks for a tool: its result, not the answer, is what the user sees
    UNFINISHED = "unfinished"  # no finish reason: the stream broke, or it waits to be continued
    REFUSED = "refused"  # the model declines; another try or another model may not
    ERROR = "error"  # filtered, failed, or ended for a reason that we do not know
    EMPTY = "empty"  # nothing to replay


_REASONS: dict[str, AdmissionRefusal | None] = {
    **dict.fromkeys(
        ("stop", "end_turn", "stop_sequence", "eos", "eos_token", "complete", "completed",
         "finished", "done", "end"),
        None,
    ),
    **dict.fromkeys(
        ("length", "max_tokens", "max_output_tokens", "max_length", "incomplete", "model_length",
         "truncated", "token_limit", "model_context_window_exceeded"),
        AdmissionRefusal.TRUNCATED,
    ),
    **dict.fromkeys(
        ("tool_calls", "tool_call", "tool_use", "function_call"), AdmissionRefusal.TOOL_CALL
    ),
    **dict.fromkeys(
        ("", "null", "none", "pause_turn", "in_progress", "queued", "cancelled", "canceled",
         "finish_reason_unspecified"),
        AdmissionRefusal.UNFINISHED,
    ),
    "refusal": AdmissionRefusal.REFUSED,
}  # fmt: skip

# A refusal is said at once: only the opening is read, so that an answer about refusals, or one
# that is "sorry to hear that", passes.
_OPENING_CHARS = 400

# What is said before declining; taken off as often as it stands there.
_PREAMBLE = re.compile(
    r"[\s,.!:;*#>\"'—–-]+"
    r"|(?:i'm|i am|we're|we are)\s+(?:(?:so|very|really|truly|deeply|terribly)\s+)?sorry\b"
    r"(?!\s+(?:to|for|that|about|you|if))"
    r"|sorry\b(?!\s+(?:to|for|that|about|is|seems|means))|(?:my|our)\s+apologies\b"
    r"|(?:i|we)\s+apologi[sz]e\b(?:\s+for\s+[^,.!?]{0,60})?|apologies\b|unfortunately\b|regrettably\b"
    r"|but\b|however\b|no\b|hello\b|hi\b|thank\s+you[^.!?,]{0,80}|thanks[^.!?,]{0,80}"
    r"|i\s+(?:understand|appreciate|see)\b[^.!?]{0,160}?(?:[.!?]|,\s*but\b)"
    r"|as\s+an?\s+(?:[\w-]+\s+){0,3}(?:ai|assistant|language\s+model|llm|chatbot)\b[^.!?,]{0,60},"
    r"|i(?:'m|\s+am)\s+(?:just\s+|only\s+)?an?\s+(?:[\w-]+\s+){0,3}"
    r"(?:ai|assistant|language\s+model|llm|chatbot)\b[^.!?,]{0,60}(?:,\s*(?:and|so|but)|\.)"
)
_UNABLE = (
    r"(?:can't|cannot|can\s+not|won't|will\s+not|couldn't|could\s+not|must\s+not"
    r"|(?:am|'m|are|'re)\s+(?:(?:currently|simply|just|really)\s+)?(?:not\s+(?:able|allowed"
    r"|permitted|comfortable|willing|authori[sz]ed|designed|programmed|in\s+a\s+position)|unable)"
    r"|won't\s+be\s+able|will\s+not\s+be\s+able)"
)
_SERVICE = (
    r"(?:\s+(?:to|be|able|really|actually|currently|directly|ethically|safely|legally|personally"
    r"|knowingly|in\s+good\s+conscience))*\s+(?:help(?!\s+but)|assist|provide|answer|fulfil?l?|comply"
    r"|create|generate|write|produce|continue|do\s+(?:that|this|so)|discuss|engage|support|offer"
    r"|share|respond|process|access|browse|complete|participate|give|view|open|perform|tell\s+you"
    r"|advise|comment|predict|identify|verify|determine|satisfy|accommodate|carry\s+out|execute"
    r"|grant|role-?play|speculate|reproduce|reveal|disclose|talk\s+about|facilitate|promote"
    r"|condone|look\s+up|search|retrieve|instruct|see\s+(?:the|your|any)|read\s+(?:the|your))\b"
)
_DECLINE = re.compile(
    rf"(?:i|we)(?:\s+|(?='))(?:{_UNABLE}(?:{_SERVICE}|\s*(?:[.!,]|$)|\s+with\b)"
    r"|(?:must|have\s+to|need\s+to|will|'ll)\s+(?:respectfully\s+|politely\s+)?(?:decline|refuse)\b"
    r"|(?:respectfully\s+|politely\s+)?(?:decline|refuse)\s+to\b"
    r"|(?:do\s+not|don't|lack)\s+(?:have\s+)?(?:the\s+|any\s+|enough\s+|direct\s+|live\s+)*"
    r"(?:ability|capability|access|information|context|real-?time|up-?to-?date|current|personal"
    r"|opinions?|feelings?|data|preferences|beliefs)\b"
    r"|(?:do\s+not|don't)\s+feel\s+comfortable\b)"
    r"|(?:it|that|this)(?:\s+is|'s|\s+would\s+be)\s+(?:not\s+something|against\s+my|beyond\s+my"
    r"|outside\s+(?:of\s+)?my|not\s+appropriate\s+for\s+me)"
    r"|(?:this|that|your|the)\s+(?:request|prompt|question|content)\s+(?:violates|goes\s+against"
    r"|(?:was|has\s+been|is)\s+(?:blocked|flagged|rejected|filtered))"
    r"|there\s+(?:was|has\s+been)\s+an\s+error\s+(?:processing|generating)"
)


def refusal_reason(
    answer_text: str, finish_reason: str, has_tool_calls: bool
) -> AdmissionRefusal | None:
    """Say why an answer may not be kept, or return None when it may.

    Args:
        answer_text: the whole answer as the user sees it.
        finish_reason: the provider's word in any case; empty when none came. An unknown word is an
            ERROR: an answer is kept only when it is known to be whole.
        has_tool_calls: whether the answer asks for tools.
    """
    word = finish_reason.strip().lower().replace("-", "_")
    refusal = _REASONS.get(word, AdmissionRefusal.ERROR)
    if refusal is AdmissionRefusal.TRUNCATED:
        return refusal
    if has_tool_calls:
        return AdmissionRefusal.TOOL_CALL
    if refusal is not None:
        return refusal
    if not answer_text.strip():
        return AdmissionRefusal.EMPTY
    return AdmissionRefusal.REFUSED if declines(answer_text) else None


def declines(answer_text: str) -> bool:
    """Tell whether an answer opens by declining the request."""
    opening = answer_text[:_OPENING_CHARS].lower().replace("’", "'")
    at = 0
    while (match := _PREAMBLE.match(opening, at)) is not None and match.end() > at:
        at = match.end()
    return _DECLINE.match(opening, at) is not None or (
        at > 0 and _ONLY_SORRY.match(opening) is not None
    )


_ONLY_SORRY = re.compile(r"\W*(?:i'm|i am)?\s*(?:very |so )?sorry\W*\Z")
