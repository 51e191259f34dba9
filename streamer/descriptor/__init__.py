"""Pipeline and algorithm descriptors: text to frozen values, with every finding and its place in the text.

What a user writes is judged here once and completely; behind this package nothing asks again whether a field is there
or has the right type. `load` is the door (and the only part that reads files); `flow` and `inputs` hold the two small
languages inside descriptors.
"""
