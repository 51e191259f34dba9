"""The stateful algorithms of the scenarios, as a user would write them.

They are loaded by their files and not imported, so they hold nothing but a few lines of user code.
"""
