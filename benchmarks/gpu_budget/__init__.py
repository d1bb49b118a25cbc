"""`make gpu-budget`: what a batch of pages asks of a GPU, counted where there is none, and what that predicts.

The chain runs as it would on CUDA, over tensors that say they lie on `cuda:0`. Between networks they hold real values;
inside a network they hold none, so that 64 pages are counted in minutes. What is counted are the operators that
PyTorch's dispatcher is given, each with its launches, bytes and FLOPs: a change of the chain or of a network shows by
itself. A kernel of our own has to be a registered operator (`torch.library`) with an implementation for the CPU, which
makes its values here; it counts as one launch.
"""
