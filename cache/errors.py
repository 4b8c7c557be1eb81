"""What can go wrong in the cache. None of it fails a request: the router turns it into a miss.

CacheError
├ StoreUnavailable      now, and it may work again: nothing of what was asked was kept
│  └ StoreOverloaded    too much waits already; slow down
├ EntryRefused          this one entry can not be kept; the next one can
├ IndexFailed           the vector index broke; it is derived and can be rebuilt from the store
│  └ IndexMismatch      vectors of another length or encoder than the index holds
└ OpenRefused           at start: says what was found, what was expected and what to do
   ├ FolderUnusable     no folder, or not ours to write in
   ├ FolderForeign      holds somebody else's files
   ├ FolderLocked       another process works in it
   ├ DatabaseForeign    an SQLite file, but not this one
   ├ DatabaseTooNew     written by a later scrimp
   ├ SealMismatch       encrypted with another key, or not as the settings say
   └ DatabaseCorrupt    not readable as what it was
"""

from __future__ import annotations


class CacheError(Exception):
    """Root of everything the cache raises on purpose."""


class StoreUnavailable(CacheError):
    """The database took nothing of what was asked: disk full, locked, broken or closed."""


class StoreOverloaded(StoreUnavailable):
    """More operations wait than the bound allows; the caller is too fast for the disk."""


class EntryRefused(CacheError):
    """One entry that can not be kept, by its size or its text. The caller's fault."""


class IndexFailed(CacheError):
    """The vector index can not answer; the store is whole and the index can be made anew."""


class IndexMismatch(IndexFailed):
    """A vector of another length than the index holds. The caller's fault."""


class OpenRefused(CacheError):
    """The data can not be opened; a person has to look. The message says at what."""


class FolderUnusable(OpenRefused):
    """The data folder can not be made, or not be written to."""


class FolderForeign(OpenRefused):
    """The data folder holds files and no mark of scrimp; it is left untouched."""


class FolderLocked(OpenRefused):
    """Another process holds the data folder."""


class DatabaseForeign(OpenRefused):
    """The file is an SQLite database of another program or purpose; it is left untouched."""


class DatabaseTooNew(OpenRefused):
    """The database's schema is later than this version knows; it is left untouched."""


class SealMismatch(OpenRefused):
    """The database is encrypted with a key that is not there, or plain where a key is set."""


class DatabaseCorrupt(OpenRefused):
    """The file is no database, or a damaged one; it is left untouched."""
