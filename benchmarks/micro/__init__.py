"""The hot modules one by one: nanoseconds a message, beside the least that could be done instead.

They show where a change of a scenario comes from. Frames have 100 messages of 100 bytes of payload, as the reference of
the scenarios has.
"""
