"""Nexmark: an online auction as a stream of persons, auctions and bids, and well-known queries over it.

Each query is a pipeline of the engine, a plain Python loop, and a program of other engines; all read the same events,
and their results must be the same, also when instances of the pipeline are killed.
"""
