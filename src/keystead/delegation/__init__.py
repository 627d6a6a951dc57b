"""Who may act for whom: the Cedar policy, the audiences it speaks of, and grants."""
