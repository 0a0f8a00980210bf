"""The kind of error that decides the exit code; the errors themselves stand where they are raised.

    PermanentError
    └── BadRequestError           what was asked for cannot be done as it was asked: exit code 2, as for a wrong option
        ├── RefusedError          this machine or this version cannot run the assistant (`refusals`)
        ├── UnreadableFileError   a manifest or a token that is not there (`manifests`)
        ├── UnwritableFileError   a record, a reply or a bundle that cannot be written (`outputs`)
        ├── UnreadableAudioError  no sound (`audio`)
        ├── NoAddressError        an asr service that cannot be there (`transcribing`)
        ├── KubectlMissingError   a cluster is asked by kubectl, which is not there (`report_command`)
        ├── NothingNamedError     models are needed, and none was named (`catalogue_commands`)
        └── UnconfirmedError      something would be removed, and there is nobody to ask (`catalogue_commands`)

Every other ParleyError ends a command with 1.
"""

from parley_contract.errors import PermanentError


class BadRequestError(PermanentError):
    """What was asked for cannot be done as it was asked."""
