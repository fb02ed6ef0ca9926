"""Where `--write` may write: links, pipes, devices, read-only and private files, and the folder of results itself."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import shoal
from shoal.errors import Conflict, InvalidField, ShoalError
from shoal.library.clustering import Clustering
from shoal.library.output.write_targets import check_target


@pytest.fixture(scope="module")
def clustering(tmp_path_factory: pytest.TempPathFactory, processes: None) -> Clustering:
    vectors = np.eye(3).repeat(4, axis=0)
    path = tmp_path_factory.mktemp("source") / "docs.parquet"
    pq.write_table(pa.table({"id": [f"d{n}" for n in range(12)], "vec": vectors.tolist()}), path)
    return shoal.cluster(path, algorithm="kmeans", n_clusters=3)


def source_of(clustering: Clustering) -> Path:
    assert clustering.file_rows is not None
    return next(iter(clustering.file_rows.opened.stamps))


def pipe(path: Path) -> None:
    os.mkfifo(path)


def link_to_nothing(path: Path) -> None:
    path.symlink_to("/dev/null")


def circle(path: Path) -> None:
    path.symlink_to(path.name)


def folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.process
@pytest.mark.parametrize(
    ("make", "says"),
    [
        (pipe, "is a pipe or a device"),
        (link_to_nothing, "is a pipe or a device"),
        (circle, "cannot be written"),
        (folder, "is a folder"),
    ],
)
def test_only_regular_files_are_opened_and_written(
    make: Callable[[Path], None], says: str, clustering: Clustering, tmp_path: Path
) -> None:
    make(tmp_path / "out.csv")
    with pytest.raises(ShoalError, match=says):
        clustering.write(tmp_path / "out.csv", overwrite=True)


def test_a_file_name_that_is_too_long_is_refused(clustering: Clustering, tmp_path: Path) -> None:
    with pytest.raises(InvalidField, match="cannot be written"):
        clustering.write(tmp_path / f"{'n' * 300}.csv")


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_the_source_is_safe_behind_any_link(
    link: Callable[[Path, Path], None], clustering: Clustering, tmp_path: Path
) -> None:
    source = source_of(clustering)
    before = source.read_bytes()
    link(source, source.parent / "other.parquet")
    (tmp_path / "linked").symlink_to(source.parent)
    for target in (source.parent / "other.parquet", tmp_path / "linked" / source.name):
        with pytest.raises(Conflict, match="lies in what is read"):
            clustering.write(target, overwrite=True)

    (source.parent / "other.parquet").unlink()
    assert source.read_bytes() == before


def test_a_link_is_kept_and_its_target_replaced(clustering: Clustering, tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    for _ in range(2):
        clustering.write(tmp_path / "link.csv")

    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real.csv").read_text().count("cl_") == 12


def test_a_read_only_file_is_kept_and_a_private_one_stays_private(clustering: Clustering, tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    clustering.write(path)
    path.chmod(0o600)
    clustering.write(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

    path.chmod(0o400)
    with pytest.raises(Conflict, match=r"is read-only. Choose another name, or"):
        clustering.write(path)
    clustering.write(path, overwrite=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o400


def test_the_folder_of_results_takes_no_other_file(tmp_path: Path) -> None:
    (tmp_path / "found").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "found")
    for folder in ("found", "link"):
        with pytest.raises(Conflict, match="lies in the folder of results"):
            check_target(tmp_path / folder / "out.csv", [], overwrite=True, results=tmp_path / "found")


def test_an_unnamed_column_stays_unnamed_after_repeated_writes(tmp_path: Path) -> None:
    lines = [f'{row},{row},{"abc"[row % 3]} rain,"{np.eye(3)[row % 3].tolist()}"' for row in range(9)]
    (tmp_path / "docs.csv").write_text("\n".join([",Unnamed: 0,text,vec", *lines]))
    for _ in range(2):
        shoal.cluster(tmp_path / "docs.csv", algorithm="kmeans", n_clusters=3).write(tmp_path / "out.csv")
    clustering = shoal.cluster(tmp_path / "docs.csv", algorithm="kmeans", n_clusters=3)
    clustering.write(tmp_path / "out.parquet")

    header = (tmp_path / "out.csv").read_text(encoding="utf-8-sig").splitlines()[0]
    assert header == ",Unnamed: 0,text,vec,cluster_id,cluster_label,strength,x,y"
    assert pq.read_schema(tmp_path / "out.parquet").names[:2] == ["Unnamed: 0_", "Unnamed: 0"]
