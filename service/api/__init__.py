"""Protobuf and plain Python: servicers, converters, statuses, and the interceptor around every call."""

from service.api.calls import Calls
from service.api.interceptors import CallInterceptor
from service.api.models import ModelServicer
from service.api.owners import Owners
from service.api.sequence import SequenceServicer
from service.api.sessions import SessionServicer

__all__ = ["CallInterceptor", "Calls", "ModelServicer", "Owners", "SequenceServicer", "SessionServicer"]
