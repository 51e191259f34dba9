"""The stateless algorithms of the queries, as a user would write them.

They are loaded by their files and not imported, so each holds the few lines of its query and nothing else.
"""
