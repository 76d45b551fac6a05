from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from cookbook.ray_batch import manifest, parts, prompts
from cookbook.ray_batch.manifest import OtherBatch
from cookbook.ray_batch.parts import Row, Standing
from cookbook.ray_batch.prompts import Chunk
from sunra_integrations.langchain import ChatSunra


def written(folder: Path, **columns: list[object]) -> Path:
    parquet.write_table(pa.table(columns), folder / "prompts.parquet")
    return folder / "prompts.parquet"


def test_rows_without_an_id_are_known_by_what_they_say_and_how_often(tmp_path: Path) -> None:
    source = written(tmp_path, prompt=["a", "b", "a", None])
    [first, second] = prompts.read(source, 2)
    assert (first.number, first.first, second.number, second.first) == (0, 0, 1, 2)
    ids = [*first.row_ids, *second.row_ids]
    assert len(set(ids)) == 4
    assert ids[0].removesuffix("-0") == ids[2].removesuffix("-1")
    assert prompts.read(source, 2) == [first, second]


def test_ids_of_the_file_are_kept(tmp_path: Path) -> None:
    [chunk] = prompts.read(written(tmp_path, id=[7, 8], prompt=["a", "b"]), 10)
    assert chunk.row_ids == ("7", "8")


def test_ids_that_are_not_unique_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="same `id`, among them \\['7'\\]"):
        prompts.read(written(tmp_path, id=[7, 7], prompt=["a", "b"]), 10)


def test_a_file_without_prompts_says_what_it_has(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no text column `prompt`; it has: \\['question'\\]"):
        prompts.read(written(tmp_path, question=["a"]), 10)


def test_a_part_is_read_as_it_was_written_and_replaced_as_a_whole(tmp_path: Path) -> None:
    answered = Row(0, "a", "Hi", 1, answer="Hello", finish_reason="stop", message="{}")
    failed = Row(1, "b", "Hi", 2, error_type="Overloaded", error_retryable=True, is_final=False)
    parts.write(tmp_path, 3, [answered, failed])
    assert parts.read(tmp_path, 3) == [answered, failed]
    assert parts.standings(tmp_path) == {3: Standing(rows=2, failed=1, open=1)}

    parts.write(tmp_path, 3, [answered])
    assert parts.standings(tmp_path) == {3: Standing(rows=1)}
    assert [found.name for found in tmp_path.iterdir()] == ["part-000003.parquet"]


def test_a_part_that_could_not_be_finished_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts.write(tmp_path, 0, [Row(0, "a", "Hi", 1, answer="Hello")])

    def no_space(_: object, target: Path) -> None:
        target.write_bytes(b"half of a file")
        raise OSError("no space left")

    with monkeypatch.context() as full:
        full.setattr(parquet, "write_table", no_space)
        with pytest.raises(OSError, match="no space left"):
            parts.write(tmp_path, 0, [Row(0, "a", "Hi", 1, answer="Better")])

    assert parts.read(tmp_path, 0) == [Row(0, "a", "Hi", 1, answer="Hello")]
    assert len(list(tmp_path.iterdir())) == 1


def test_what_a_killed_writer_left_is_no_data_and_is_swept_away(tmp_path: Path) -> None:
    parts.write(tmp_path, 0, [Row(0, "a", "Hi", 1, answer="Hello")])
    (tmp_path / ".part-000001.parquet.abc.unfinished").write_bytes(b"half of a file")
    assert parquet.read_table(tmp_path).num_rows == 1
    parts.sweep(tmp_path)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> ChatSunra:
    monkeypatch.setenv("SUNRA_KEY", "sk-secret")
    return ChatSunra(model="a/b", base_url="http://127.0.0.1:1234/v1")


CHUNK = Chunk(0, 0, ("x",), ("Hi",))


def test_a_folder_is_taken_up_again_from_another_port_of_the_sandbox(
    tmp_path: Path, model: ChatSunra
) -> None:
    manifest.of(model, [CHUNK], 10).claim(tmp_path)
    elsewhere = model.model_copy(update={"base_url": "http://127.0.0.1:4321/v1"})
    manifest.of(elsewhere, [CHUNK], 10).claim(tmp_path)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"temperature": 1.5}, "model was .* is .*1.5"),
        ({"model": "c/d"}, "model was .*a/b.* is .*c/d"),
        ({"base_url": "https://api-llm.sunra.ai/v1"}, "answered_by was '127.0.0.1', is 'api-llm"),
    ],
)
def test_a_folder_is_not_finished_with_something_else(
    tmp_path: Path, model: ChatSunra, changes: dict[str, object], told: str
) -> None:
    manifest.of(model, [CHUNK], 10).claim(tmp_path)
    other = model.model_copy(update=changes)
    with pytest.raises(OtherBatch, match=told):
        manifest.of(other, [CHUNK], 10).claim(tmp_path)


def test_a_folder_with_parts_of_unknown_origin_is_left_alone(
    tmp_path: Path, model: ChatSunra
) -> None:
    parts.write(tmp_path, 0, [Row(0, "a", "Hi", 1)])
    with pytest.raises(OtherBatch, match="take an empty folder"):
        manifest.of(model, [CHUNK], 10).claim(tmp_path)


def test_no_secret_is_written_down(tmp_path: Path, model: ChatSunra) -> None:
    manifest.of(model, [CHUNK], 10).claim(tmp_path)
    assert "sk-secret" not in (tmp_path / "_batch.json").read_text("utf-8")
