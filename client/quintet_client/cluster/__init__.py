"""`quintet batch`: the job of `quintet read` on Ray Data, whose actors host the chain themselves.

Four kinds of process. The command (`batch`, `passes`) plans, watches and accounts; `job` is its hold on the process
that talks to Ray (`ray_driver`), which can be killed when Ray hangs, and whose parent (`session`) ends what it has
started; Ray's actors (`reader`, `hosting`) read blocks of pages and commit parts. Imports `run` and what that imports;
`ray_driver`, `witness` and `reader` alone know Ray.
"""
