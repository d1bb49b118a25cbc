"""What helps people who write chains: `new` writes one out of `template`, `check` tests any.

The template is a package of its own, kept as its user will find it. May import all of `quintet`; nothing may import
it but the command `quintet chain`.
"""
