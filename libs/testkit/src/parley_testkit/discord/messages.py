"""What is written into channels and as answers to commands, and how Discord writes it as JSON (resources/message)."""

import dataclasses

from parley_testkit.discord.users import Json, User, snowflake

_WRITTEN_AT = "2026-01-01T00:00:00.000000+00:00"


@dataclasses.dataclass(kw_only=True, eq=False)
class Message:
    """What a bot or a person wrote."""

    author: User
    channel_id: int
    content: str
    embeds: list[Json] = dataclasses.field(default_factory=list)
    components: list[Json] = dataclasses.field(default_factory=list)
    flags: int = 0
    files: dict[str, bytes] = dataclasses.field(default_factory=dict)
    """Attachments, by name."""
    id: int = dataclasses.field(default_factory=snowflake)
    versions: list[str] = dataclasses.field(default_factory=list)
    """What it said before it was edited, oldest first."""

    @property
    def is_ephemeral(self) -> bool:
        """Whether only the one who asked sees it."""
        return bool(self.flags & 64)

    def take(self, body: Json, files: dict[str, bytes]) -> None:
        """Change what a request's body names."""
        if "content" in body and body["content"] != self.content:
            self.versions += [self.content] if self.content else []
            self.content = body["content"] or ""
        self.embeds = body.get("embeds", self.embeds) or []
        self.components = body.get("components", self.components) or []
        self.files |= files

    def json(self) -> Json:
        """Write it."""
        return {
            "id": str(self.id),
            "channel_id": str(self.channel_id),
            "type": 0,
            "content": self.content,
            "author": self.author.json(),
            "timestamp": _WRITTEN_AT,
            "edited_timestamp": None,
            "tts": False,
            "mention_everyone": False,
            "mentions": [],
            "mention_roles": [],
            "attachments": [
                {"id": str(number), "filename": name, "size": len(content), "url": "", "proxy_url": ""}
                for number, (name, content) in enumerate(self.files.items())
            ],
            "embeds": self.embeds,
            "components": self.components,
            "pinned": False,
            "flags": self.flags,
        }
