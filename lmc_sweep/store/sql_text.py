"""Text as SQL literals."""

from __future__ import annotations

from collections.abc import Iterable


def literal(text: str) -> str:
    """A text as an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def literals(texts: Iterable[str]) -> str:
    """Texts as a list of SQL string literals."""
    quoted = [literal(text) for text in texts]
    return f"[{', '.join(quoted)}]" if quoted else "[]::VARCHAR[]"
