"""Networks whose calls have few shapes, all known at start, so that each shape is met before the first page is.

cuDNN looks for a plan for each convolution of each new shape; with free counts it would in every batch, for ever.
PyTorch keeps 10,000 plans a thread: shapes are prepared in the thread that calls the network later.
"""

import time
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import pad

from quintet.engine.calls import Parts, call_sizes, filled_size
from quintet.engine.cuda_graphs import Outputs, Recorder, Recording, Shape, Work

ItemShape = tuple[int, int, int]  # of a batch without its first dimension


class FewShapes:
    """A network, or more work with it, whose calls are filled up to one of few sizes.

    Rows that fill a call up are cut off before anything reads them, and each item is computed from itself alone.

    Attributes:
        shapes: all that the work is ever called with, as long as no call is more than full.
    """

    def __init__(
        self,
        work: Work,
        full: Mapping[ItemShape, int],
        parts: Parts,
        blank: Tensor,
        recorder: Recorder | None = None,
        usual: int | None = None,
    ) -> None:
        """Run nothing yet.

        Args:
            work: from a batch to outputs whose first dimension is the batch's.
            full: for each shape of an item, the most usual first, how many a full call has.
            parts: of a full call, that calls are filled up to.
            blank: an empty tensor of the device and the dtype of batches.
            recorder: of CUDA graphs, if shapes are to be replayed.
            usual: how many of the shapes of an item are prepared; all, if None.
        """
        self._work = work
        self._sizes: dict[Shape, list[int]] = {item: call_sizes(most, parts) for item, most in full.items()}
        self._blank = blank
        self._recorder = recorder
        self._recordings: dict[Shape, Recording] = {}
        of_items = [[(size, *item) for size in sizes] for item, sizes in self._sizes.items()]
        self.shapes = frozenset(shape for shapes in of_items for shape in shapes)
        self._unprepared = [shape for shapes in of_items[:usual] for shape in shapes]

    @torch.inference_mode()
    def __call__(self, batch: Tensor) -> Outputs:
        """The work's outputs, in memory of their own."""
        count, *item = batch.shape
        shape = (filled_size(count, self._sizes.get(tuple(item), ())), *item)
        if self._recorder is not None and shape in self._recordings:
            return self._replay(self._recorder, self._recordings[shape], batch)
        if shape[0] == count:
            return self._work(batch)
        outputs = self._work(pad(batch, (0, 0) * len(item) + (0, shape[0] - count)))
        return tuple(output[:count] for output in outputs)

    @torch.inference_mode()
    def prepare(self, deadline: float) -> tuple[int, int]:
        """Run, or record, each usual shape that has not been; begins nothing after the deadline of `time.monotonic`.

        Returns:
            How many shapes were prepared, and for how many there was no time.
        """
        before = len(self._unprepared)
        while self._unprepared and time.monotonic() < deadline:
            shape = self._unprepared.pop(0)
            if self._recorder is None:
                self._work(self._blank.new_zeros(shape))
            else:
                self._recordings[shape] = self._recorder.record(self._work, shape)
        return before - len(self._unprepared), len(self._unprepared)

    @staticmethod
    def _replay(recorder: Recorder, recording: Recording, batch: Tensor) -> Outputs:
        with recorder.lock:
            # Rows that are not overwritten hold an earlier call's items.
            recording.batch[: len(batch)].copy_(batch)
            return tuple(output[: len(batch)].clone() for output in recording.replay())
