"""People and bots, by the ids that Discord gives, and how it writes them as JSON (resources/user, "Snowflakes")."""

import dataclasses
import itertools
import secrets
import time
from typing import Any, Final

from parley_testkit.discord.ops import Intent

Json = dict[str, Any]
_EPOCH_MS: Final = 1_420_070_400_000
"""From which Discord's ids count."""
_counter: Final = itertools.count()


def snowflake() -> int:
    """Make an id that nothing has yet."""
    return (time.time_ns() // 1_000_000 - _EPOCH_MS) << 22 | next(_counter) & 0x3FFFFF


@dataclasses.dataclass(kw_only=True, eq=False)
class User:
    """A person or a bot."""

    name: str
    is_bot: bool = False
    id: int = dataclasses.field(default_factory=snowflake)

    def json(self) -> Json:
        """Write it."""
        return {
            "id": str(self.id),
            "username": self.name.lower(),
            "global_name": self.name,
            "discriminator": "0",
            "avatar": None,
            "bot": self.is_bot,
            "flags": 0,
            "public_flags": 0,
        }


@dataclasses.dataclass(kw_only=True, eq=False)
class Bot(User):
    """A bot, and the application that it belongs to, which has the same id."""

    is_bot: bool = True
    token: str = dataclasses.field(default_factory=lambda: f"{secrets.token_hex(12)}.{secrets.token_hex(16)}")
    allowed_intents: Intent = Intent.NOTHING
    """Privileged intents that its owner switched on."""
    commands: dict[int | None, list[Json]] = dataclasses.field(default_factory=dict)
    """What it registered, by server; None for all."""
