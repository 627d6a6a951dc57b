"""For relying parties: is this token genuine, who is behind it, and who sends it?

    from keystead import Verifier

    verifier = Verifier(
        issuer="https://issuer.example",
        jwks="https://issuer.example/jwks",
        audience="https://api.example",
    )
    token = verifier.verify_request(access_token, dpop_header, "GET", url, now=int(time.time()))

``keystead.relying.asgi`` and ``keystead.relying.grpc`` do this for whole servers. Nothing here
needs more than ``cryptography``, except that ``grpc`` needs grpcio.
"""

from keystead.relying.batch import MAX_BATCH, BatchResult, Verdict
from keystead.relying.checks import MAX_TOKEN_BYTES, RequestToVerify
from keystead.relying.claims import MAX_ACT_DEPTH
from keystead.relying.jwks import CachedJwks, JwksSource, StaticJwks
from keystead.relying.nonces import NonceSource, RollingNonces
from keystead.relying.replay import ReplayMemory, ReplayStore
from keystead.relying.requirements import ResidencyRequirement
from keystead.relying.status import CachedStatusLists, StatusListRules, StatusSource
from keystead.relying.status_list import StatusList
from keystead.relying.verifier import Verifier

__all__ = [
    "MAX_ACT_DEPTH",
    "MAX_BATCH",
    "MAX_TOKEN_BYTES",
    "BatchResult",
    "CachedJwks",
    "CachedStatusLists",
    "JwksSource",
    "NonceSource",
    "ReplayMemory",
    "ReplayStore",
    "RequestToVerify",
    "ResidencyRequirement",
    "RollingNonces",
    "StaticJwks",
    "StatusList",
    "StatusListRules",
    "StatusSource",
    "Verdict",
    "Verifier",
]
