"""Why a condition is as it is, in one word that programs may compare; `docs/reference/conditions.md` explains each."""

from typing import Final

# --- Of what was written ---------------------------------------------------------------------------------------------

ACCEPTED: Final = "Accepted"
INVALID_SPEC: Final = "InvalidSpec"
UNKNOWN_MODEL: Final = "UnknownModel"
SECRET_MISSING: Final = "SecretMissing"  # noqa: S105  # a word
"""There is no such Secret."""
KEY_MISSING: Final = "KeyMissing"
"""There is the Secret, but not the key."""
TOKEN_IN_USE: Final = "TokenInUse"  # noqa: S105  # a word
CLAIM_MISSING: Final = "ClaimMissing"
NOT_SUPPORTED_YET: Final = "NotSupportedYet"

# --- Of children -----------------------------------------------------------------------------------------------------

UNSCHEDULABLE: Final = "Unschedulable"
INSUFFICIENT_GPU: Final = "InsufficientGPU"
IMAGE_PULL_FAILED: Final = "ImagePullFailed"
OUT_OF_MEMORY: Final = "OutOfMemory"
CRASH_LOOPING: Final = "CrashLooping"
CONTAINER_FAILED: Final = "ContainerFailed"
ADMISSION_FAILED: Final = "AdmissionFailed"
EVICTED: Final = "Evicted"
NODE_LOST: Final = "NodeLost"
RUNTIME_CLASS_MISSING: Final = "RuntimeClassMissing"
STORAGE_CLASS_MISSING: Final = "StorageClassMissing"
VOLUME_PENDING: Final = "VolumePending"
VOLUME_FAILED: Final = "VolumeFailed"
QUOTA_EXCEEDED: Final = "QuotaExceeded"
POD_SECURITY_REFUSED: Final = "PodSecurityRefused"
POD_REFUSED: Final = "PodRefused"
MODEL_PULL_FAILED: Final = "ModelPullFailed"
APPLY_FAILED: Final = "ApplyFailed"
"""The API server did not take a child."""

# --- Of what is going on ---------------------------------------------------------------------------------------------

READY: Final = "Ready"
STARTING: Final = "Starting"
SUSPENDED: Final = "Suspended"
SCALED_TO_ZERO: Final = "ScaledToZero"
"""Somebody else let no pod of a component run."""
PULLING: Final = "Pulling"
CACHED: Final = "Cached"
NOT_NEEDED: Final = "NotNeeded"
SCHEDULED: Final = "Scheduled"
WAITING: Final = "Waiting"
NOTHING_ACCEPTED: Final = "NothingAccepted"
ROLLING_OUT: Final = "RollingOut"
UPGRADE_WAITING: Final = "UpgradeWaiting"
SETTLED: Final = "Settled"
AS_EXPECTED: Final = "AsExpected"
STREAMS_UNHEALTHY: Final = "StreamsUnhealthy"
MODEL_NOT_LOADED: Final = "ModelNotLoaded"
LLM_PARTIALLY_OFFLOADED: Final = "LLMPartiallyOffloaded"
TOKEN_REFUSED: Final = "TokenRefused"  # noqa: S105  # a word
INTENTS_REFUSED: Final = "IntentsRefused"
PERMISSIONS_MISSING: Final = "PermissionsMissing"
DISCORD_UNREACHABLE: Final = "DiscordUnreachable"
MET: Final = "Met"
MISSED: Final = "Missed"
TOO_FEW_TURNS: Final = "TooFewTurns"
LOOK_FAILED: Final = "LookFailed"
"""The operator cannot look after the assistant: what the other conditions say may be old."""
OLDER_SPEC_RUNS: Final = "OlderSpecRuns"
"""What was written last was refused; what was accepted before it runs."""
