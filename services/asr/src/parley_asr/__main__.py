"""`python -m parley_asr`: the asr service as a process."""

from parley_asr.app import App
from parley_asr.settings import AsrSettings
from parley_runtime.lifecycle import Runtime, run_service


async def main(runtime: Runtime[AsrSettings]) -> None:
    """Run until told to stop."""
    await App(runtime).run()


if __name__ == "__main__":
    run_service("asr", AsrSettings, main)
