"""Stages that several chains have in common, each with its settings.

May import `quintet.engine`, `quintet.tensors` and `quintet.errors`.
"""
