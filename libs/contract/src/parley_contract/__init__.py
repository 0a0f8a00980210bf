"""What Parley's processes agree on: words, messages, subjects, streams, permissions, models, the resource. No I/O."""
