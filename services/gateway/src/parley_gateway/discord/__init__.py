"""The Discord door: everything of the gateway that knows Discord, and the only place that imports its libraries.

From a datagram to frames, in the order in which a datagram goes: `sockets`, `library` (discord.py, and every private
attribute of it), `receiving`, `reception` with `rtp`, `transport` and `roster`, `sources` with `jitter` and `opus`.
Back again: `mouths` with `lanes` and `talkspurts`, `pacing`, and `speaking`, which announces them. `calls` puts both
ways together; around it `handshakes` joins and leaves, and `closings` and `deafness` say what to do when something is
wrong. `links` is the front of all that: one `VoiceLink` per voice channel, which the bot beside it uses.
"""
