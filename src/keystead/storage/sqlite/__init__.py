"""SQLite: one file, one thread that writes, group commit, durable before it is acknowledged.

``store`` is the port; ``writer`` the thread and its transactions; ``operations`` what a unit of
work may do inside one; ``reader`` the queries; ``rows`` what a row's body holds; ``schema`` the
tables; ``files`` who may open what.
"""
