"""What a worker takes in memory at most, whatever it is sent: one sum over the settings, held against real workers."""

from dataclasses import dataclass
from typing import Self

from quintet.errors import SettingsError
from quintet.pixels.images import WORD_BYTES, most_decode_bytes
from quintet.pixels.settings import ImageSettings

# Networks, their plans for shapes, what they compute in between, and what the allocator keeps of it. 64 pages of many
# sizes on a CPU took 3.0 GB with 2 threads, 48 took 3.3 GB with 8; thousands took 3.5 GB with 2.
_NETWORKS_BYTES, _NETWORKS_BYTES_A_THREAD = 3_500_000_000, 250_000_000
# The bodies of one batch of requests: as the server takes them, and again as the pages of frames.
_BODIES_BYTES = 1 << 30
# An idle codec: Python, Pillow, and what its heap keeps.
_CODEC_BYTES = 96 << 20
# Decoding of an A4 page at 300 dpi.
_USUAL_DECODE_BYTES = 192 << 20


@dataclass(frozen=True)
class WorkerMemory:
    """Bytes of one worker with its codecs, by what they are for."""

    networks: int
    bodies: int
    pages: int  # decoded, of one call
    codecs: int  # idle
    decoding: int  # of all pages that are being decoded

    @property
    def total(self) -> int:
        """The ceiling."""
        return self.networks + self.bodies + self.pages + self.codecs + self.decoding

    @classmethod
    def planned(cls, settings: ImageSettings, threads: int) -> Self:
        """How `max_worker_bytes` is shared out, or with 0 what a worker of so many threads needs.

        Raises:
            SettingsError: the largest page cannot be decoded within it.
        """
        decoders = settings.decode_threads or threads
        least = most_decode_bytes(settings)
        plan = cls(
            networks=_NETWORKS_BYTES + threads * _NETWORKS_BYTES_A_THREAD,
            bodies=_BODIES_BYTES,
            pages=WORD_BYTES * settings.batch_pixels,
            codecs=decoders * _CODEC_BYTES,
            decoding=max(least, decoders * _USUAL_DECODE_BYTES),
        )
        if not settings.max_worker_bytes:
            return plan
        others = plan.total - plan.decoding
        left = settings.max_worker_bytes - others
        if left < least:
            raise SettingsError(
                f"setting max_worker_bytes is {settings.max_worker_bytes}; {others + least} is the least for "
                f"{threads} threads, batch_pixels, max_page_pixels and max_body_bytes: raise it or lower these"
            )
        return cls(plan.networks, plan.bodies, plan.pages, plan.codecs, left)
