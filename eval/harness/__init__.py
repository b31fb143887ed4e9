"""Standard benchmarks by lm-evaluation-harness, on the engines that every other score comes from.

`run` decides what is to be measured and keeps what was; `worker` measures one variant in a process
of its own; nothing else imports lm-evaluation-harness, which takes seconds.
"""
