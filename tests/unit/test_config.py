"""Settings: where they come from, who wins, and what a wrong one says."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from stream.config import Kafka, Settings, load, names
from stream.errors import SettingError

SECRET = "hunter2-hunter2"
SASL = {
    "BRAID_KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
    "BRAID_KAFKA__SASL_MECHANISM": "PLAIN",
    "BRAID_KAFKA__SASL_USERNAME": "me",
    "BRAID_KAFKA__SASL_PASSWORD": SECRET,
}


def test_defaults_are_whole_and_documented() -> None:
    assert load(environ={}) == Settings()
    for name in names():
        section, _, field = name.partition(".")
        kind = Settings.model_fields[section].annotation
        assert kind is not None
        assert kind.model_fields[field].description, name  # type: ignore[attr-defined]


def test_later_sources_win(tmp_path: Path) -> None:
    file = tmp_path / "braid.toml"
    file.write_text('[learn]\ntop_k = 3\nseed = 3\n[kafka]\ngroup = "toml"\n')
    environ = {"BRAID_LEARN__TOP_K": "4", "BRAID_KAFKA__GROUP": "env", "HOME": "/"}
    found = load(file, environ, ["kafka.group=set", "serve.enabled = false"])
    assert (found.learn.seed, found.learn.top_k, found.kafka.group) == (3, 4, "set")
    assert found.serve.enabled is False
    assert load(file, {}).learn.top_k == 3


def test_short_name_and_names_that_are_not_settings() -> None:
    found = load(environ={"BRAID_BOOTSTRAP_SERVERS": "k:1", "BRAID_TEST_DATA": "x"})
    assert found.kafka.bootstrap_servers == "k:1"


def test_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().learn.top_k = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("learn.top_k=0", ["learn.top_k", "'0'", "greater than or equal to 1"]),
        ("learn.top_k=many", ["learn.top_k", "'many'", "valid integer"]),
        ("learn.objective=best", ["learn.objective", "'best'", "'micro_f1'", "'hamming'"]),
        ("learn.top_K=3", ["learn.top_K", "did you mean learn.top_k"]),
        ("learn.topk=3", ["learn.topk", "'3'", "did you mean learn.top_k"]),
        ("kafka.groop=x", ["kafka.groop", "did you mean kafka.group"]),
        ("nothing=1", ["nothing", "no such setting"]),
        ("learn.top_k", ["--set", "learn.top_k", "section.name=value"]),
        ("kafka.transaction_timeout_ms=29000", ["kafka", "at most half of poll_interval_ms"]),
        ("kafka.session_timeout_ms=40000", ["kafka", "at most poll_interval_ms"]),
        ("kafka.security_protocol=SASL_SSL", ["kafka", "sasl_username"]),
        ("serve.port=70000", ["serve.port", "'70000'", "65535"]),
        ("topics.predictions=braid.events", ["topics", "a name of its own"]),
        ("topics.drift=a b", ["topics", "'a b'", "letters, digits"]),
    ],
)
def test_wrong_setting_is_one_line_that_says_what_to_write(override: str, parts: list[str]) -> None:
    with pytest.raises(SettingError) as wrong:
        load(environ={}, overrides=[override])
    message = str(wrong.value)
    assert "\n" not in message
    assert [part for part in parts if part not in message] == []


def test_sections_that_do_not_fit_together_are_named() -> None:
    given = ["encoder.plugin=x", "encoder.timeout_ms=10001"]
    with pytest.raises(SettingError, match=r"encoder\.timeout_ms .* kafka\.poll_interval_ms"):
        load(environ={}, overrides=given)
    assert load(environ={}, overrides=[*given, "kafka.poll_interval_ms=30003"])


def test_environment_is_named_as_it_was_written() -> None:
    with pytest.raises(SettingError, match=r"BRAID_LEARN__TOPK='3'.*learn\.top_k"):
        load(environ={"BRAID_LEARN__TOPK": "3"})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"learn = 3", "learn=3 cannot work: write it in a table"),
        (b"[learn", "valid TOML"),
        (b"\xff\xfe", "valid TOML"),
        (b"[learn]\ntop_k = {a = 1}", "learn.top_k"),
        (b"[learn.more]\nx = 1", "learn.more"),
    ],
)
def test_wrong_file(content: bytes, said: str, tmp_path: Path) -> None:
    file = tmp_path / "braid.toml"
    file.write_bytes(content)
    with pytest.raises(SettingError) as wrong:
        load(file, {})
    assert said in str(wrong.value)


def test_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"--config=.*name a readable file"):
        load(tmp_path / "no.toml", {})


def test_secrets_are_never_shown() -> None:
    found = load(environ=SASL)
    assert found.kafka.sasl_password is not None
    assert found.kafka.sasl_password.get_secret_value() == SECRET
    for text in (repr(found), str(found), str(found.model_dump()), found.model_dump_json()):
        assert SECRET not in text


@pytest.mark.parametrize(
    ("environ", "overrides"),
    [
        (SASL | {"BRAID_KAFKA__SASL_USERNAME": ""}, ["kafka.sasl_mechanism=MD5"]),
        (SASL | {"BRAID_KAFKA__SESSION_TIMEOUT_MS": "99999999"}, []),
        ({"BRAID_KAFKA__SASL_PASWORD": SECRET}, []),
        ({"BRAID_KAFKA_SASL_PASSWORD": SECRET}, []),
        ({}, [f"kafka.sasl_pass={SECRET}"]),
        ({}, [f"kafka.sasl_password:{SECRET}"]),
        ({"BRAID_KAFKA__SASL_PASSWORD": SECRET}, ["kafka.security_protocol=SASL_SSL"]),
    ],
)
def test_nor_in_errors(environ: dict[str, str], overrides: list[str]) -> None:
    with pytest.raises(SettingError) as wrong:
        load(environ=environ, overrides=overrides)
    assert SECRET not in str(wrong.value) + wrong.value.remedy + repr(wrong.value)


def test_a_password_of_the_wrong_type_is_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "braid.toml"
    file.write_text("[kafka]\nsasl_password = 123454321\n")
    with pytest.raises(SettingError, match=r"kafka\.sasl_password='\*\*\*'"):
        load(file, {})


def test_sections_can_be_made_alone() -> None:
    assert Kafka(group="g").group == "g"
