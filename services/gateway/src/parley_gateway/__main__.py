"""`python -m parley_gateway`: the gateway as a process."""

from parley_gateway.app import App
from parley_gateway.settings import GatewaySettings
from parley_runtime.lifecycle import Runtime, run_service


async def main(runtime: Runtime[GatewaySettings]) -> None:
    """Run until told to stop."""
    await App(runtime).run()


if __name__ == "__main__":
    run_service("gateway", GatewaySettings, main)
