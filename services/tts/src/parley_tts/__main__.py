"""`python -m parley_tts`: the tts service as a process."""

from parley_runtime.lifecycle import Runtime, run_service
from parley_tts.app import App
from parley_tts.settings import TtsSettings


async def main(runtime: Runtime[TtsSettings]) -> None:
    """Run until told to stop."""
    await App(runtime).run()


if __name__ == "__main__":
    run_service("tts", TtsSettings, main)
