"""The compiled doors to the C core in ``native/``.

A door that was not built is an import error; there is no slower path to fall to in silence.
"""
