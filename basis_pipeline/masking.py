"""Masking of secrets in everything that is written, by the name of a field or by their form."""

import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

MASK = "***"
_DEEPEST = 8  # levels of nesting; a cycle ends here too

_SECRET = re.compile(r"passw|passphrase|pwd$|secret|credential|authorization|cookie")
_TOKEN_OR_KEY = re.compile(r"(token|key)s?$")
_HARMLESS = re.compile(r"(asset|partition|run|backfill|config|primary|sort)_keys?$")
_CAMEL_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
# `token: USDT` names a coin. What authenticates has digits or is longer.
_COIN = re.compile(r"[A-Za-z]{2,8}")

_IN_TEXT = (
    (
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*-----|$)", re.DOTALL),
        MASK,
    ),
    (re.compile(r"(?<=//)[^\s'\"]*@"), f"{MASK}@"),
    (re.compile(r"[^\s:/@'\"]+:(?!//)[^\s@'\"]+@"), f"{MASK}@"),
    (re.compile(r"(?i)\b(bearer)\s+[\w.~+/=-]{8,}"), rf"\1 {MASK}"),
)
_SUSPECT = re.compile(r"[:=@]|PRIVATE|(?i:bearer)")
_ASSIGNED = re.compile(
    r"(?i)((?:passw\w*|passphrase|pwd|secret|token|api_?key|access_?key|private_?key|credentials?"
    r"|authorization)['\"]?\s*[=:]\s*['\"]?)([^\s'\"&,;})\]]+)"
)


@lru_cache(maxsize=4096)
def _strength(name: str) -> int:
    """Return 2 when every value of that name is a secret, 1 when text may be one, else 0."""
    plain = _CAMEL_HUMP.sub("_", name).lower().replace("-", "_")
    if _SECRET.search(plain):
        return 2
    return 1 if _TOKEN_OR_KEY.search(plain) and not _HARMLESS.search(plain) else 0


def _assigned(match: re.Match[str]) -> str:
    coin = "token" in match[1].lower() and _COIN.fullmatch(match[2])
    return match[0] if coin else match[1] + MASK


@lru_cache(maxsize=4096)
def _without_secrets(text: str) -> str:
    if not _SUSPECT.search(text):
        return text
    for pattern, replacement in _IN_TEXT:
        text = pattern.sub(replacement, text)
    return _ASSIGNED.sub(_assigned, text)


def masked_text(text: str) -> str:
    """Mask credentials in URLs, assigned passwords, bearer tokens and private keys in a text."""
    # Only short texts recur; caching long ones would only cost memory.
    return _without_secrets(text) if len(text) < 200 else _without_secrets.__wrapped__(text)


def masked(value: Any, name: str = "") -> Any:
    """Return a value as JSON values, without secrets; `name` is the name of its field.

    Under a name like `password` every value is masked, under one like `api_key` or `token` every
    text but the name of a coin. What JSON has no type for becomes text, as do NaN and infinity.
    """
    return _masked(value, _strength(name), _DEEPEST)


def _masked(value: Any, strength: int, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        return MASK if strength == 2 else value if math.isfinite(value) else str(value)
    if isinstance(value, str):
        secret = strength == 2 or (strength == 1 and not _COIN.fullmatch(value))
        return MASK if secret else masked_text(value)
    if depth == 0:
        return "…"
    if isinstance(value, Mapping):
        return {
            masked_text(str(key)): _masked(item, max(strength, _strength(str(key))), depth - 1)
            for key, item in value.items()
        }
    if callable(getattr(value, "tolist", None)):  # an array
        return _masked(value.tolist(), strength, depth - 1)
    if isinstance(value, (list, tuple)):
        return [_masked(item, strength, depth - 1) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(str(_masked(item, strength, depth - 1)) for item in value)
    return _masked(_text(value), strength, depth)


def _text(value: Any) -> str:
    """Return a value as text, even when its class raises an error."""
    try:
        if callable(getattr(value, "isoformat", None)):
            return str(value.isoformat())
        return (
            f"{type(value).__name__}: {value}" if isinstance(value, BaseException) else str(value)
        )
    except Exception:  # noqa: BLE001 - whatever is logged, logging it must not fail
        return f"a {type(value).__name__} that cannot be shown"
