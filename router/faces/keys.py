"""Who calls, and for which namespaces: the one place that decides, for every face.

Without keys in the settings everyone may do everything and callers name themselves, as befits a
service that only its own machine reaches. With keys, what a caller is and may comes from its key.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from hmac import compare_digest
from typing import Final

from router.errors import InvalidRequest, NotPermitted, Unauthenticated
from router.faces.bounds import DEFAULT_NAMESPACE
from router.faces.edge import DEFAULT_CALLER
from router.settings import AccessKey, Role
from router.settings.values import EVERY_NAMESPACE

_SCHEME: Final = "bearer"
_ANYONE: Final[tuple[Role, ...]] = ("call", "admin")


class Access:
    """What one caller may.

    Args:
        key: that it came with; None: the service wants none, and everything is allowed.
    """

    def __init__(self, key: AccessKey | None = None) -> None:
        self._key = key

    def caller(self, stated: str) -> str:
        """Return who calls: the key's name, or what a caller of an open service says it is.

        Raises:
            NotPermitted: it says that it is somebody else.
        """
        if self._key is None:
            return stated or DEFAULT_CALLER
        if stated not in ("", self._key.name):
            raise NotPermitted(
                f"this key's caller is {self._key.name!r}, and the request names another; leave "
                "the caller out"
            )
        return self._key.name

    def user(self, stated: str) -> str:
        """Return whom a request is of: the key's user, or whom it names where the key has none.

        Raises:
            NotPermitted: it names another than the key's.
        """
        bound = "" if self._key is None else self._key.user
        if not bound:
            return stated
        if stated not in ("", bound):
            raise NotPermitted(
                f"this key's user is {bound!r}, and the request names another; leave the user out"
            )
        return bound

    def reads_metrics(self) -> None:
        """Let pass who may read the metrics page, which tells of all namespaces.

        Raises:
            NotPermitted: the key has not the role, or not for all of them.
        """
        if self._key is None:
            return
        self._check_role(self._key, ("metrics", "admin"))
        if EVERY_NAMESPACE not in self._key.namespaces:
            raise NotPermitted(
                f"the metrics tell of all namespaces, and the key {self._key.name!r} speaks for "
                f"some; ask the operator for one with the role metrics"
            )

    def is_as(self, other: Access) -> bool:
        """Tell whether another caller is the same one and may the same."""
        return self._key == other._key

    def asks_for(self, stated: str) -> str:
        """Return the namespace of a request, of an answer handed back, or of feedback.

        Raises:
            NotPermitted, InvalidRequest: see ``_within``.
        """
        return self._within(stated, "call")

    def views(self, stated: str) -> str:
        """Return the namespace whose mode is told. Raises as ``_within``."""
        return self._within(stated, *_ANYONE)

    def governs(self, stated: str) -> str:
        """Return the namespace that is switched. Raises as ``_within``."""
        return self._within(stated, "admin")

    def sums(self, stated: str) -> str:
        """Return the namespace whose savings are told; empty: all, for an admin of all.

        Raises:
            NotPermitted, InvalidRequest: see ``_span``.
        """
        return self._span(stated, *_ANYONE)

    def clears(self, stated: str) -> str:
        """Return the namespace whose entries are removed; empty: all, for an admin of all.

        Raises:
            NotPermitted, InvalidRequest: see ``_span``.
        """
        return self._span(stated, "admin")

    def _within(self, stated: str, *roles: Role) -> str:
        """Return a namespace that the key covers; unnamed, its only one, else the default.

        Raises:
            NotPermitted: the key does not cover it, or has none of the roles.
            InvalidRequest: none is named, and the key does not say which is meant.
        """
        if self._key is None:
            return stated or DEFAULT_NAMESPACE
        self._check_role(self._key, roles)
        names = self._key.namespaces
        if stated:
            return self._covered(self._key, stated)
        if len(names) == 1 and EVERY_NAMESPACE not in names:
            return next(iter(names))
        if DEFAULT_NAMESPACE in names or EVERY_NAMESPACE in names:
            return DEFAULT_NAMESPACE
        raise InvalidRequest(f"namespace is empty; name one of the key's: {_listed(self._key)}")

    def _span(self, stated: str, *roles: Role) -> str:
        """As ``_within``, but unnamed means all, which takes an admin of all.

        Raises:
            NotPermitted: the key does not cover it, or has none of the roles.
            InvalidRequest: none is named, and the key covers several but may not mean all.
        """
        if self._key is None:
            return stated
        self._check_role(self._key, roles)
        names = self._key.namespaces
        if stated:
            return self._covered(self._key, stated)
        if EVERY_NAMESPACE in names:
            self._check_role(self._key, ("admin",))
            return ""
        if len(names) == 1:
            return next(iter(names))
        raise InvalidRequest(f"namespace is empty; name one of the key's: {_listed(self._key)}")

    @staticmethod
    def _check_role(key: AccessKey, roles: Sequence[Role]) -> None:
        if key.roles.isdisjoint(roles):
            raise NotPermitted(
                f"the key {key.name!r} has no role {' or '.join(roles)}, which this takes; ask the "
                "operator for one that has"
            )

    @staticmethod
    def _covered(key: AccessKey, namespace: str) -> str:
        if key.namespaces.isdisjoint((namespace, EVERY_NAMESPACE)):
            raise NotPermitted(
                f"the key {key.name!r} does not speak for namespace {namespace[:64]!r}, only for: "
                f"{_listed(key)}"
            )
        return namespace


def _listed(key: AccessKey) -> str:
    return ", ".join(sorted(key.namespaces))


class Keys:
    """The keys that are known.

    Args:
        keys: from the settings.
        are_wanted: whether callers need one; None: where there are any.
    """

    def __init__(self, keys: Sequence[AccessKey] = (), *, are_wanted: bool | None = None) -> None:
        self._keys = {key.digest: key for key in keys}
        self._are_wanted = bool(keys) if are_wanted is None else are_wanted
        self._open = Access()

    @property
    def are_wanted(self) -> bool:
        """Whether callers need one."""
        return self._are_wanted

    def admit(self, authorization: str, api_key: str = "") -> Access:
        """Return what a caller may.

        Only digests are looked up and compared, so that how long it takes says nothing of a key.

        Args:
            authorization: ``Bearer KEY``, as the header or the metadata has it; empty: none came.
            api_key: the key alone, as Anthropic's clients send it; heeded where the other has none.

        Raises:
            Unauthenticated: a key is wanted, and none that is known came.
        """
        if not self._are_wanted:
            return self._open
        scheme, _, token = authorization.strip().partition(" ")
        token = token.strip() if scheme.lower() == _SCHEME else api_key.strip()
        if not token:
            raise Unauthenticated("a key is wanted: send it as authorization: Bearer KEY")
        digest = sha256(token.encode("utf-8", "surrogateescape")).digest()
        key = self._keys.get(digest)
        if key is None or not compare_digest(key.digest, digest):
            raise Unauthenticated("the key is not known here; ask the operator for one")
        return Access(key)
