"""Requests of our own: one thing done to one object, and what is almost that request.

"How do I archive a project?" and "what is the way to archive my projects" want one answer;
"how do I delete a project" wants another, and so does "how do I archive a channel". Nothing but one
word tells them apart, which is what similar vectors hide and sets of real questions seldom hold.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence

# An operation and the ways to say it; words of two rows never mean the same here.
_OPERATIONS: Mapping[str, Sequence[Sequence[str]]] = {
    "software": (
        ("install", "set up"), ("uninstall",), ("update", "upgrade"), ("roll back", "revert"),
        ("delete", "remove", "erase"), ("rename", "change the name of"), ("copy", "duplicate"),
        ("move", "relocate"), ("share",), ("stop sharing", "unshare"), ("open",), ("close",),
        ("save", "keep"), ("discard", "throw away"), ("edit", "modify"), ("view", "look at", "see"),
        ("print",), ("export",), ("import",), ("upload",), ("download",), ("back up",),
        ("restore", "recover"), ("encrypt",), ("decrypt",), ("compress", "zip"),
        ("extract", "unzip"), ("lock",), ("unlock",), ("enable", "turn on", "switch on"),
        ("disable", "turn off", "switch off"), ("archive",), ("sort",), ("filter",), ("merge",),
        ("split",), ("sync", "synchronize"), ("test",), ("debug",), ("deploy",), ("pause",),
        ("resume",), ("restart", "reboot"), ("hide",), ("show", "display"), ("pin",), ("unpin",),
        ("mute",), ("unmute",), ("publish",), ("validate", "check"), ("format",), ("parse",),
        ("commit",), ("push",), ("pull",), ("stage",), ("clone",), ("compile",), ("schedule",),
    ),
    "account": (
        ("open", "create"), ("close", "shut down"), ("pause", "suspend"), ("cancel", "end"),
        ("renew", "extend"), ("upgrade",), ("downgrade",), ("transfer", "move"), ("block",),
        ("unblock",), ("activate",), ("deactivate",), ("verify", "confirm"), ("update", "change"),
        ("report",), ("dispute", "contest"), ("refund", "get my money back for"), ("pay", "settle"),
        ("track", "follow"), ("replace",), ("return", "send back"), ("freeze",), ("unfreeze",),
        ("link", "connect"), ("unlink", "disconnect"), ("view", "see"), ("download",), ("share",),
        ("merge",), ("delete", "erase"), ("restore", "recover"), ("reset",), ("top up",),
        ("withdraw from",), ("deposit into",), ("approve",), ("reject", "decline"), ("hide",),
    ),
    "home": (
        ("clean",), ("paint",), ("repair", "fix"), ("replace",), ("install", "put in"),
        ("remove", "take out"), ("insulate",), ("measure",), ("polish",), ("sharpen",), ("oil",),
        ("store", "keep"), ("sell",), ("buy", "purchase"), ("rent",), ("lend",), ("borrow",),
        ("assemble", "put together"), ("take apart", "disassemble"), ("fold",), ("hang",),
        ("wash",), ("dry",), ("dye",), ("cut",), ("glue",), ("drill",), ("sand",), ("seal",),
        ("open",), ("close",), ("lock",), ("unlock",), ("light",), ("put out", "extinguish"),
        ("heat",), ("cool down",), ("fill",), ("empty", "drain"), ("insure",), ("donate",),
    ),
    "food": (
        ("bake",), ("fry",), ("boil",), ("grill",), ("steam",), ("freeze",), ("thaw", "defrost"),
        ("peel",), ("slice", "cut"), ("mash",), ("pickle",), ("dry",), ("store", "keep"),
        ("grow", "plant"), ("harvest", "pick"), ("season",), ("marinate",), ("reheat", "warm up"),
        ("buy", "purchase"), ("sell",), ("eat",), ("wash", "rinse"), ("smoke",), ("grate",),
        ("blend",), ("can",), ("ferment",), ("glaze",), ("stuff",), ("weigh",), ("ripen",),
    ),
}  # fmt: skip
_OBJECTS: Mapping[str, Sequence[str]] = {
    "software": (
        "file", "folder", "project", "branch", "document", "spreadsheet", "photo", "video",
        "database", "table", "column", "container", "plugin", "extension", "driver", "package",
        "module", "script", "calendar", "event", "channel", "message", "notification", "playlist",
        "wallpaper", "font", "theme", "password", "key", "certificate", "log", "report", "chart",
        "macro", "form", "page", "layout", "template", "comment", "tag", "bookmark", "tab",
        "window", "partition", "disk", "server", "workspace", "repository", "image", "config",
    ),
    "account": (
        "account", "card", "subscription", "membership", "order", "booking", "reservation",
        "invoice", "payment", "plan", "policy", "loan", "wallet", "profile", "contract", "license",
        "ticket", "claim", "delivery", "parcel", "statement", "standing order", "direct debit",
        "savings pot", "gift card", "voucher", "trial", "phone number", "address", "warranty",
    ),
    "home": (
        "door", "window", "chair", "table", "lamp", "sink", "tap", "toilet", "radiator", "boiler",
        "carpet", "curtain", "mirror", "mattress", "fridge", "oven", "bike", "tent", "ladder",
        "fence", "roof", "gutter", "wall", "floor", "knife", "shirt", "jacket", "boots", "piano",
        "guitar", "stove", "pool", "aquarium", "drawer", "wardrobe", "heater", "fan", "shelf",
    ),
    "food": (
        "potatoes", "carrots", "tomatoes", "salmon", "chicken", "bread", "rice", "beans", "apples",
        "pears", "cheese", "eggs", "mushrooms", "onions", "garlic", "peppers", "cabbage", "beets",
        "corn", "pumpkin", "squash", "lentils", "noodles", "shrimp", "beef", "tofu", "strawberries",
        "cherries", "bananas", "spinach", "leeks", "asparagus", "turkey", "ham", "dough", "herbs",
    ),
}  # fmt: skip
_PLACES: Mapping[str, Sequence[str]] = {
    "software": (
        "", "", "", " in the terminal", " on my phone", " on the web", " in the editor",
        " from the command line", " with the API", " in the settings", " on a Mac", " on Linux",
        " for my team", " without losing data", " from a script",
    ),
    "account": (
        "", "", "", " online", " in the app", " by phone", " before it ends", " for my partner",
        " without a fee", " from abroad", " for my business",
    ),
    "home": (
        "", "", "", " at home", " by myself", " without special tools", " safely", " in winter",
        " in an old house", " on a small budget",
    ),
    "food": (
        "", "", "", " at home", " without oil", " for two people", " in the oven", " for a party",
        " for the winter", " in advance",
    ),
}  # fmt: skip
_FORMS = (
    "How do I {op} {object}{place}?", "how can I {op} {object}{place}",
    "How to {op} {object}{place}?",
    "What is the way to {op} {object}{place}?", "what's the best way to {op} {object}{place}?",
    "I want to {op} {object}{place}", "I need to {op} {object}{place}, how?",
    "Is it possible to {op} {object}{place}?", "can I {op} {object}{place}?",
    "Show me how to {op} {object}{place}.", "Steps to {op} {object}{place}",
    "{op} {object}{place}", "please help me {op} {object}{place}",
    "Explain how to {op} {object}{place}", "What should I do to {op} {object}{place}?",
    "Can you tell me how to {op} {object}{place}?", "I'd like to {op} {object}{place}.",
    "What are the steps to {op} {object}{place}?", "Guide me through how to {op} {object}{place}",
)  # fmt: skip
_WHETHER = frozenset(form for form in _FORMS if form.casefold().startswith(("is it", "can i")))
_HOW = tuple(form for form in _FORMS if form not in _WHETHER)


def operation_pairs(n: int, chance: random.Random) -> Iterator[tuple[str, str, bool]]:
    """Yield ``n`` pairs of requests, and whether one answer serves both; a third want the same."""
    for _ in range(n):
        domain = chance.choice(tuple(_OPERATIONS))
        operations, objects = _OPERATIONS[domain], _OBJECTS[domain]
        (op, other_op), (thing, other_thing) = (
            chance.sample(operations, 2),
            chance.sample(objects, 2),
        )
        place, other_place = chance.sample(sorted(set(_PLACES[domain])), 2)
        form = chance.choice(_HOW)
        other_form = form if chance.random() < 0.4 else chance.choice(_HOW)
        one = _said(form, op, thing, place, chance)
        match chance.choice(("same", "same", "operation", "operation", "operation", "object")):
            case "same":
                yield one, _said(other_form, op, thing, place, chance), True
            case "operation":
                yield one, _said(other_form, other_op, thing, place, chance), False
            case _:
                at = other_place if chance.random() < 0.3 else place
                yield one, _said(other_form, op, other_thing, at, chance), False


def _said(form: str, op: Sequence[str], thing: str, place: str, chance: random.Random) -> str:
    said = form.format(op=chance.choice(op), object=_named(thing, chance), place=place)
    return said if chance.random() < 0.8 else said.lower()


def _named(thing: str, chance: random.Random) -> str:
    """Say "a", "the" or "my" before it; of many of one kind, nothing or "the"."""
    if thing.endswith("s") and not thing.endswith("ss"):
        return chance.choice(("", "", "the ", "my ")) + thing
    article = "an " if thing[0] in "aeiou" else "a "
    return chance.choice((article, article, "the ", "my ", "this ")) + thing
