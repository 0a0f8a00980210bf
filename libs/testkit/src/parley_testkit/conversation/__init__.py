"""A conversation as a game, for the model checker in `tests/unit/conversation`.

`world` is both reducers with everything between them, and lets happen what `moves` says can happen; what is so in one
moment is a `situations.Situation`, and who does what stands in `people`, `gateways`, `agents`, `workers` and `broker`.
`listener` is what a person hears; `promises` what must hold in the end; `exploration` plays every game there is.
"""
