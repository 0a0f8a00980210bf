"""discord.py 2.7.1 from inside: the one folder that touches its private attributes, and mends what it does not do.

`links` and `handshakes` see a `link_clients.LinkClient`, which tells them what is in `events`, and nothing else of it;
`opus` sees `libopus`, for what cannot be reached otherwise. `connections` is what the two of them rest on. What is
relied on stands in `relied_on`, and a contract test holds the installed version against it.
"""
