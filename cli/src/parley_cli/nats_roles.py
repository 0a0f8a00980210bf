"""What the admin of a NATS runs to let an assistant's services in: a role for each, as commands for nsc. Pure.

The rights are the contract's own. They stand in roles, and not in users: docs/decisions/0022 says why.
"""

import shlex
from typing import Final

from parley_contract.permissions import permissions
from parley_contract.resource import VoiceAssistant
from parley_contract.services import SERVICES, Service, assistant_key

_HEAD: Final = """\
#!/bin/sh
# Roles of the assistant {namespace}/{name} in an account of your NATS: run this where nsc keeps the account's
# keys, with the account's name: ACCOUNT=voices sh roles.sh. It writes {files}.
# Then `nsc push`, if your servers learn of accounts that way. The account needs JetStream, in memory and in files.
set -eu
: "${{ACCOUNT:?name the account}}"
role() {{
  service=$1 role=$2
  shift 2
  key=$(nsc edit account --name "$ACCOUNT" --sk generate 2>&1 | grep -oE 'A[A-Z2-7]{{55}}' | tail -n 1)
  nsc edit signing-key --account "$ACCOUNT" --sk "$key" --role "$role" "$@"
  nsc add user --account "$ACCOUNT" --name "$role" --private-key "$role"
  nsc generate creds --account "$ACCOUNT" --name "$role" > "$service.creds"
}}
"""


def script(assistant: VoiceAssistant) -> str:
    """Return a shell script that makes the roles, a user of each, and its `<service>.creds`."""
    meta = assistant.metadata
    files = ", ".join(f"{service}.creds" for service in SERVICES)
    roles = (_role(assistant_key(meta.namespace, meta.name), service) for service in SERVICES)
    return _HEAD.format(namespace=meta.namespace, name=meta.name, files=files) + "\n".join(roles)


def _role(assistant: str, service: Service) -> str:
    rights = permissions(assistant, service)
    words = [
        *(f"--allow-pub={subject}" for subject in rights.publish),
        *(f"--allow-sub={subject}" for subject in rights.subscribe),
        *(["--allow-pub-response"] if rights.may_respond else []),
    ]
    return " \\\n  ".join([f"role {service} {assistant}_{service}", *map(shlex.quote, words)]) + "\n"
