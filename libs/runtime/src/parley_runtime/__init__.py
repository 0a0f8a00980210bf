"""What every Parley process stands on: bus, telemetry, settings, lifecycle, HTTP surface, model store."""
