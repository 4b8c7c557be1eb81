"""What the operator decided: one TOML file and the environment, read here and nowhere else.

``load`` gives frozen ``Settings`` or a ``SettingsError`` that carries every mistake at once.
``router/scrimp.example.toml`` shows all keys; ``tables`` says what each of them means.
"""

from router.settings.loading import load, parse
from router.settings.mistakes import Mistake, SettingsError
from router.settings.tables import (
    AuditsTable,
    CacheTable,
    HttpTable,
    Limits,
    Role,
    RoutingTable,
    Service,
    TlsTable,
)
from router.settings.values import (
    AccessKey,
    Calibrated,
    Key,
    ModelSpec,
    NamespacePolicy,
    Provider,
    Secret,
    Settings,
)

__all__ = [
    "AccessKey",
    "AuditsTable",
    "CacheTable",
    "Calibrated",
    "HttpTable",
    "Key",
    "Limits",
    "Mistake",
    "ModelSpec",
    "NamespacePolicy",
    "Provider",
    "Role",
    "RoutingTable",
    "Secret",
    "Service",
    "Settings",
    "SettingsError",
    "TlsTable",
    "load",
    "parse",
]
