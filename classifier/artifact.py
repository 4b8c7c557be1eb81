"""A model on disk: a folder with its files and a card that says what they are.

The card lists the SHA-256 of every file. Files are read once, checked, and handed on as the very
bytes that were checked, so nothing can be swapped between the check and the use.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classifier.errors import ArtifactError
from classifier.session import open_session

ARTIFACTS = Path(__file__).parent / "artifacts"
"""The artifacts that are shipped: ``encoder/``, ``pair/`` and ``complexity/``."""

CARD = "card.json"
CARD_FORMAT = 1

_REMAKE = "make it again with `python -m training {kind}` or restore the committed folder"


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A checked artifact.

    Attributes:
        kind: ``encoder``, ``pair`` or ``complexity``.
        id: names exactly this content; two artifacts with one id behave alike.
        card: the whole card, as read.
        files: name to content, every file that the card lists.
    """

    kind: str
    id: str
    card: Mapping[str, Any]
    files: Mapping[str, bytes]

    def field(self, name: str) -> Any:  # noqa: ANN401 - JSON
        """Return a field of the card.

        Raises:
            ArtifactError: the card has no such field.
        """
        if name not in self.card:
            raise ArtifactError(
                seen=f"the card of {self.id} has no field {name!r}",
                expected=f"a card written by `python -m training {self.kind}`",
                remedy=_REMAKE.format(kind=self.kind),
            )
        return self.card[name]

    def check_fits(self, **wanted: object) -> None:
        """Make sure that the model was made for what is in use here: field names to values.

        Raises:
            ArtifactError: a field of the card has another value.
        """
        for what, value in wanted.items():
            if self.field(what) != value:
                raise ArtifactError(
                    seen=f"{self.id} was made with {what} {self.field(what)!r}",
                    expected=f"{value!r}, which is in use here",
                    remedy=_REMAKE.format(kind=self.kind),
                )

    def open(self, *names: str) -> list[Any]:
        """Return an onnxruntime session on each of the named models.

        Raises:
            ArtifactError: one is missing, or this onnxruntime cannot read it.
        """
        try:
            return [open_session(self.files[name]) for name in names]
        except Exception as error:  # onnxruntime raises bare exceptions
            raise ArtifactError(
                seen=f"{self.id} does not load: {error!r}",
                expected=f"{', '.join(names)}, readable by this onnxruntime",
                remedy=_REMAKE.format(kind=self.kind),
            ) from error


def read_card(folder: Path, *, kind: str) -> dict[str, Any]:
    """Return the card of an artifact, without reading its models.

    Raises:
        ArtifactError: the card is missing, not JSON, or of another kind or format.
    """
    path = folder / CARD
    remedy = _REMAKE.format(kind=kind)
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(
            seen=f"{path} cannot be read: {error}",
            expected="the card of an artifact",
            remedy=remedy,
        ) from error
    found = (card.get("kind"), card.get("format")) if isinstance(card, dict) else None
    if found != (kind, CARD_FORMAT) or not isinstance(card.get("id"), str):
        raise ArtifactError(
            seen=f"{path} describes (kind, format) {found}",
            expected=f"{(kind, CARD_FORMAT)} with an id",
            remedy=remedy,
        )
    return dict(card)


def read_artifact(folder: Path, *, kind: str) -> Artifact:
    """Read an artifact and check every file against its card.

    Raises:
        ArtifactError: the card or a file is missing, or a file is not the one the card describes.
    """
    card = read_card(folder, kind=kind)
    files: dict[str, bytes] = {}
    for name, listed in card.get("files", {}).items():
        path = folder / name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ArtifactError(
                seen=f"{path} cannot be read: {error}",
                expected="every file that the card lists",
                remedy=_REMAKE.format(kind=kind),
            ) from error
        found = sha256(content)
        if found != listed["sha256"]:
            raise ArtifactError(
                seen=f"{path} has sha256 {found[:16]}… ({len(content)} bytes)",
                expected=f"{listed['sha256'][:16]}… ({listed.get('bytes')} bytes) as in its card",
                remedy=_REMAKE.format(kind=kind),
            )
        files[name] = content
    return Artifact(kind=kind, id=card["id"], card=card, files=files)


def write_artifact(
    folder: Path,
    *,
    kind: str,
    artifact_id: str,
    files: Mapping[str, bytes],
    card: Mapping[str, Any],
) -> Artifact:
    """Write an artifact; the card comes last, so a torn write is refused when it is read.

    Args:
        folder: created where missing; files of the same name are replaced.
        kind: ``encoder``, ``pair`` or ``complexity``.
        artifact_id: names exactly this content.
        files: name to content.
        card: further fields of the card; all must be JSON.
    """
    folder.mkdir(parents=True, exist_ok=True)
    full: dict[str, Any] = {
        "id": artifact_id,
        "kind": kind,
        "format": CARD_FORMAT,
        "files": {
            name: {"sha256": sha256(content), "bytes": len(content)}
            for name, content in sorted(files.items())
        },
        **card,
    }
    for name, content in files.items():
        _replace(folder / name, content)
    text = json.dumps(full, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    _replace(folder / CARD, text.encode())
    return Artifact(kind=kind, id=artifact_id, card=full, files=dict(files))


def sha256(content: bytes) -> str:
    """Return the SHA-256 of the content, 64 hex digits."""
    return hashlib.sha256(content).hexdigest()


def _replace(path: Path, content: bytes) -> None:
    """Put the content in place at once: a reader sees the old file or the new one."""
    draft = path.with_name(path.name + ".new")
    draft.write_bytes(content)
    os.replace(draft, path)
