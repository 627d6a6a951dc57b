"""``keystead demo``: the main job with every part a process of its own, on emulated TPMs."""
