"""Tars and Parquet files, as people have them and as nobody should."""

import io
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq

HF_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def tar_of(members, form=tarfile.PAX_FORMAT):
    """A tar of files by their names; a member that is None is a folder."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=form) as tar:
        for name, content in members:
            head = tarfile.TarInfo(name)
            head.size = len(content or b"")
            head.type = tarfile.REGTYPE if content is not None else tarfile.DIRTYPE
            tar.addfile(head, io.BytesIO(content or b""))
    return target.getvalue()


def header(name, size, kind=b"0"):
    """One header of a tar that claims what it likes."""
    head = tarfile.TarInfo(name)
    head.size, head.type = size, kind
    return head.tobuf(tarfile.GNU_FORMAT)


def member(name, content):
    """A member as it stands in a tar."""
    return header(name, len(content)) + content + bytes(-len(content) % 512)


def parquet_of(columns, schema=None, **options):
    target = io.BytesIO()
    pq.write_table(pa.table(columns, schema=schema), target, **options)
    return target.getvalue()


def images_parquet(bodies, ids=None, **options):
    """As HuggingFace's datasets writes images."""
    images = pa.array([body and {"bytes": body, "path": None} for body in bodies], type=HF_IMAGE)
    return parquet_of({**({"id": ids} if ids else {}), "image": images}, **options)
