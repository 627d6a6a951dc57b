"""Messages that do not decode are refused by the door, not by gRPC.

gRPC would answer UNKNOWN and write a stack trace to the log for each: a stranger could fill it. So
what does not decode becomes a marker, and :func:`decoded` refuses the marker inside the door.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias, TypeVar, cast

import grpc
from google.protobuf.message import DecodeError

from keystead.errors import Malformed

T = TypeVar("T")
Handler: TypeAlias = "grpc.RpcMethodHandler[object, object]"


class _Undecodable:
    """The marker's class."""


UNDECODABLE: Final = _Undecodable()

_MAKERS = {
    (False, False): (grpc.unary_unary_rpc_method_handler, "unary_unary"),
    (False, True): (grpc.unary_stream_rpc_method_handler, "unary_stream"),
    (True, False): (grpc.stream_unary_rpc_method_handler, "stream_unary"),
    (True, True): (grpc.stream_stream_rpc_method_handler, "stream_stream"),
}
"""By whether requests and responses are streams."""


def decoded(message: T) -> T:
    """The message; Malformed if it was none."""
    if isinstance(message, _Undecodable):
        raise Malformed()
    return message


class Registry:
    """What generated code registers its servicers with, instead of the server itself."""

    def __init__(self, server: grpc.aio.Server) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """Nothing: the same handlers come by name."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Handler]) -> None:
        """One service's methods by name."""
        forgiving = {name: _forgiving(handler) for name, handler in handlers.items()}
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(service, forgiving),)
        )


def _forgiving(handler: Handler) -> Handler:
    maker, kind = _MAKERS[bool(handler.request_streaming), bool(handler.response_streaming)]
    parse = cast(Callable[[bytes], object], handler.request_deserializer)

    def read(data: bytes) -> object:
        try:
            return parse(data)
        except DecodeError:
            return UNDECODABLE

    return maker(
        getattr(handler, kind),
        request_deserializer=read,
        response_serializer=handler.response_serializer,
    )
