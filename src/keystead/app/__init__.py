"""The composition root: configuration → adapters → use cases → doors.

    serve(load_config(path), base=path.parent, as_json=False)

``wiring`` joins ports to adapters, ``settings`` translates the configuration, ``background`` is
what runs by itself, ``process`` the life of one service process.
"""
