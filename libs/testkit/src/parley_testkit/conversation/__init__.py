"""A conversation as a game, for the model checker in `tests/unit/conversation`.

`world` has both reducers, everything between them, and what can happen next; `listener` what a person hears; `promises`
what must hold in the end; `exploration` plays every game there is.
"""
