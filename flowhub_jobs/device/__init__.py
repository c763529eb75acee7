"""The machine: its memory, GPUs and disk, and the models that it can run.

device_values     the description of a machine
probe             describes this machine: processor, memory, GPUs, disk · cgroup: memory limits · gpu: GPUs with memory
profile_reader    reads the description of another machine, the output of `flowhub device --json`
need              the memory that a model needs, and that a machine has for it; pure
fit               the verdict on a variant and a machine; pure · fit_texts: its sentences
"""
