"""What every session of this process uses: put together by `app`, handed on by `admissions`."""

from typing import Any, NamedTuple

from parley_gateway.canned_voice import CannedVoice
from parley_gateway.gathering import Gathering
from parley_gateway.settings import GatewaySettings
from parley_gateway.turn_judges import TurnJudge
from parley_runtime.bus import Bus
from parley_runtime.telemetry import Telemetry


class Surroundings(NamedTuple):
    """What every session uses."""

    bus: Bus
    telemetry: Telemetry
    settings: GatewaySettings
    gathering: Gathering[Any]
    """Where speakers are heard, by whatever detector."""
    canned: CannedVoice
    turn_judge: TurnJudge | None = None
    """Who says how finished somebody sounds; None if silence alone decides."""
