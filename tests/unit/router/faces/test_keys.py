"""Who may do what: decided in one place, without a wire."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import InvalidRequest, NotPermitted, Unauthenticated
from router.faces.keys import Access, Keys
from router.settings import AccessKey, Role

KEY = "sk-scrimp-of-the-web-app"


def a_key(*namespaces: str, roles: tuple[Role, ...] = ("call",), key: str = KEY) -> AccessKey:
    return AccessKey(
        name="web",
        digest=sha256(key.encode()).digest(),
        namespaces=frozenset(namespaces),
        roles=frozenset(roles),
    )


def access(*namespaces: str, roles: tuple[Role, ...] = ("call",)) -> Access:
    return Keys([a_key(*namespaces, roles=roles)]).admit(f"Bearer {KEY}")


WAYS: dict[str, Callable[[Access, str], str]] = {
    "asks_for": Access.asks_for,
    "views": Access.views,
    "governs": Access.governs,
    "sums": Access.sums,
    "clears": Access.clears,
}


def test_without_keys_everything_is_allowed_and_callers_name_themselves() -> None:
    """A sidecar that only its own machine reaches asks nobody who it is."""
    anyone = Keys().admit("")

    assert not Keys().are_wanted
    assert anyone.caller("") == "local"
    assert anyone.caller("batch") == "batch"
    assert anyone.asks_for("") == anyone.governs("") == anyone.views("") == "default"
    assert anyone.asks_for("acme") == "acme"
    assert anyone.sums("") == anyone.clears("") == ""


@pytest.mark.parametrize(
    ("authorization", "api_key"),
    [
        (f"Bearer {KEY}", ""),
        (f"bearer  {KEY} ", ""),
        ("", KEY),
        ("Basic YTpi", KEY),
        (f"Bearer {KEY}", "unused"),
    ],
)
def test_a_known_key_is_admitted(authorization: str, api_key: str) -> None:
    """As Bearer in any case, or alone where no Bearer came."""
    assert Keys([a_key("acme")]).admit(authorization, api_key).caller("") == "web"


@pytest.mark.parametrize(
    ("authorization", "api_key"),
    [
        ("", ""),
        ("Bearer", ""),
        ("Bearer ", ""),
        (KEY, ""),
        (f"Basic {KEY}", ""),
        (f"Bearer {KEY}x", ""),
        (f"Bearer {KEY[:-1]}", ""),
        (f"Bearer {sha256(KEY.encode()).hexdigest()}", ""),
        ("Bearer other", KEY),
        ("Bearer \udcff", ""),
        ("", "other"),
    ],
)
def test_any_other_key_is_refused_without_being_repeated(authorization: str, api_key: str) -> None:
    """Nothing of a key, known or not, stands in the sentence; the hash is no key either."""
    with pytest.raises(Unauthenticated) as refused:
        Keys([a_key("acme")]).admit(authorization, api_key)

    for part in (KEY[:10], "other", sha256(KEY.encode()).hexdigest()[:10]):
        assert part not in str(refused.value)


def test_the_caller_is_the_keys_name() -> None:
    """It may say its own name, and never another's."""
    assert access("acme").caller("") == "web"
    assert access("acme").caller("web") == "web"
    with pytest.raises(NotPermitted, match="leave the caller out"):
        access("acme").caller("batch")


@pytest.mark.parametrize(
    ("namespaces", "meant"),
    [
        (("acme",), "acme"),
        (("*",), "default"),
        (("acme", "default"), "default"),
        (("acme", "*"), "default"),
    ],
)
def test_who_names_no_namespace_gets_the_only_one_or_the_default(
    namespaces: tuple[str, ...], meant: str
) -> None:
    """The key says it, or the usual default holds where the key covers it."""
    assert access(*namespaces).asks_for("") == meant


def test_who_could_mean_several_namespaces_is_asked_which() -> None:
    """The sentence names those of the key, which its bearer may know."""
    with pytest.raises(InvalidRequest, match="name one of the key's: acme, beta"):
        access("acme", "beta").asks_for("")
    with pytest.raises(InvalidRequest, match="name one of the key's: acme, beta"):
        access("acme", "beta").sums("")


@pytest.mark.parametrize("way", ["governs", "clears"])
def test_operators_acts_take_an_admin(way: str) -> None:
    """Switching and removing; a caller's key has neither, in its own namespace as well."""
    with pytest.raises(NotPermitted, match="role admin"):
        WAYS[way](access("acme"), "acme")
    assert WAYS[way](access("acme", roles=("admin",)), "acme") == "acme"


def test_an_admin_that_may_not_call_asks_nothing() -> None:
    """An operator's key spends no money."""
    with pytest.raises(NotPermitted, match="role call"):
        access("acme", roles=("admin",)).asks_for("acme")


def test_all_namespaces_at_once_take_an_admin_of_all() -> None:
    """Sums over tenants and removals over tenants are the operator's."""
    operator = access("*", roles=("call", "admin"))
    assert operator.sums("") == operator.clears("") == ""

    assert access("acme", roles=("admin",)).clears("") == "acme"
    assert access("acme").sums("") == "acme"
    with pytest.raises(NotPermitted, match="role admin"):
        access("*").sums("")


names = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=6)
roles = st.lists(st.sampled_from(["call", "admin"]), min_size=1).map(tuple)


@given(st.sets(names, min_size=1, max_size=4), names | st.just(""), roles)
def test_no_way_leads_to_a_namespace_that_the_key_does_not_name(
    own: set[str], stated: str, its_roles: tuple[Role, ...]
) -> None:
    """Whatever is asked in whatever way: one of its own, or refused."""
    bearer = access(*own, roles=its_roles)

    for name, way in WAYS.items():
        try:
            reached = way(bearer, stated)
        except (NotPermitted, InvalidRequest):
            continue
        assert reached in own or "*" in own, name
        assert stated in ("", reached), name
