"""How the doors lend C what Python's bytes and texts hold, and copy what C has."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t

from keystead._native.batch cimport ks_view

cdef extern from "Python.h":
    bint PyUnicode_IS_COMPACT_ASCII(object text)
    void *PyUnicode_DATA(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)


cdef inline int borrow(object data, ks_view *out) except -1:
    # Exactly bytes: a subclass may lie about its contents, and anything mutable may be resized
    # by another thread while the GIL is released.
    if type(data) is not bytes:
        raise TypeError(f"bytes expected, not {type(data).__name__}")
    out.data = <const uint8_t *>PyBytes_AS_STRING(data)
    out.size = <size_t>PyBytes_GET_SIZE(data)
    return 0


# Whether `text` is exactly a str and of ASCII: then `out` looks into it.
cdef inline bint borrow_ascii(object text, ks_view *out) noexcept:
    if type(text) is not str or not PyUnicode_IS_COMPACT_ASCII(text):
        return False
    out.data = <const uint8_t *>PyUnicode_DATA(text)
    out.size = <size_t>PyUnicode_GET_LENGTH(text)
    return True


cdef inline bytes copy_of(ks_view of):
    return PyBytes_FromStringAndSize(<const char *>of.data, <Py_ssize_t>of.size)
