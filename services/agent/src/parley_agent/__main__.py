"""`python -m parley_agent`: the dialogue service."""

from parley_agent.app import main
from parley_agent.settings import AgentSettings
from parley_runtime.lifecycle import run_service

if __name__ == "__main__":
    run_service("agent", AgentSettings, main)
