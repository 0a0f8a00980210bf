"""The `parley` command: run an assistant on one machine, talk to it, look into it."""
