"""What Parley's processes agree on: words, messages, subjects, streams, permissions and the resource. No I/O."""
