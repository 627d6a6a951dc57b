"""What runs on a workload's host: it holds the key in the TPM and calls APIs with it.

    from keystead.agent import client

    with client(subject_token, audience="https://api.example", scope="calendar.read",
                folder="/var/lib/my-agent/keystead", server="keystead.example:8441") as http:
        http.get("https://api.example/calendar")

``client`` attests the key of this host's TPM, exchanges the user's token for one bound to that
key, and signs a proof in the TPM for every request. :class:`Workload` is the same in steps:

    with Workload.open(folder="/var/lib/my-agent/keystead", server="keystead.example:8441") as me:
        print(me.attest().spiffe_id)
        auth = me.auth(subject_token, audience="https://api.example")

Where there is no TPM, what the platform says of the workload takes its place: a
:class:`DocumentHost` has a key in this process's memory and a collector for its evidence.
"""

from keystead.agent.attestation import Binding
from keystead.agent.auth import KeysteadAuth
from keystead.agent.channel import ClientCertificate
from keystead.agent.hosts import DocumentHost, TpmHost, VtpmHost
from keystead.agent.proofs import DpopSigner
from keystead.agent.tokens import ACCESS_TOKEN_TYPE, JWT_TYPE
from keystead.agent.workload import Workload, client

__all__ = [
    "ACCESS_TOKEN_TYPE",
    "JWT_TYPE",
    "Binding",
    "ClientCertificate",
    "DocumentHost",
    "DpopSigner",
    "KeysteadAuth",
    "TpmHost",
    "VtpmHost",
    "Workload",
    "client",
]
