"""The Discord door: everything of the gateway that knows Discord, and the only place that imports its libraries.

From a datagram to frames, in the order in which a datagram goes: `connection` (discord.py, and every private attribute
of it), `rtp`, `transport`, `roster`, `reception`, `jitter`, `opus`, `silence`; back again: `mixing`, `speaking`,
`pacing`. `links` is the front of all that: one `VoiceLink` per voice channel, which the bot beside it uses.
"""
