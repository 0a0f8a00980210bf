"""Bytes of others into structs, with errors that say where and never what.

Called wherever something arrives that somebody else has written: messages, the web door's events, an agent's session
records. Not for manifests and the environment: their errors list everything and quote it (`validation`).
"""

from typing import Final, TypeVar

import msgspec

from parley_contract.errors import MalformedMessageError

T = TypeVar("T")

_UNREADABLE: Final = (msgspec.DecodeError, UnicodeError, RecursionError)
"""What msgspec raises for bytes of others; the last one for values nested deeper than the stack."""
_HARMLESS: Final = ("Expected", "Object missing", "JSON is malformed", "Number out of range")
"""How msgspec's reasons begin that quote nothing of what they are about."""


def read(data: bytes | str, decoder: msgspec.msgpack.Decoder[T] | msgspec.json.Decoder[T]) -> T:
    """Decode.

    Raises:
        MalformedMessageError: `path` says where, and nothing says what stood there.
    """
    try:
        # A MessagePack decoder takes no text, and is given none.
        return decoder.decode(data)  # type: ignore[arg-type]
    except _UNREADABLE as error:
        reason, _, path = str(error).partition(" - at `")
        # msgspec quotes an enum's or a tag's wrong value, which might be something a person said.
        sentence = reason if reason.startswith(_HARMLESS) else "not a value allowed there"
        # From nothing: the cause would carry the bytes, and with them what somebody said.
        raise MalformedMessageError(sentence, path=path.rstrip("`") or "$") from None
